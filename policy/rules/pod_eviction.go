// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func podEviction() policy.Rule {
	return policy.Rule{
		ID: "pod-eviction",
		Doc: policy.Doc{
			Title: "A kubelet may not evict pods through the API",
			Text: "Evictions move the pods of a node elsewhere, one by one: a kubelet can churn workloads that it was " +
				"told to keep.",
			Kubelet: "A kubelet evicts without the API: it writes the phase Failed. Talos workers drain themselves " +
				"through it.",
			Attack: `kubectl --kubeconfig kubelet.conf drain "$NODE" --ignore-daemonsets`,
			Spec:   "spec.pods.eviction",
			Fields: []string{"metadata.name"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/eviction/eviction_manager.go",
		},
		Targets: podEvictions(),
		Agents:  sameForAgents(podEvictions()),
		Compile: compilePodEviction,
		CEL:     stock(expressPodEviction),
	}
}

func compilePodEviction(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Pods.Eviction == nil {
		return nil, nil
	}
	return func(*policy.Request) []policy.Violation {
		return []policy.Violation{{Field: "metadata.name", Detail: "must not evict a pod"}}
	}, nil
}

func expressPodEviction(*v1alpha1.NodeRestrictionPolicySpec, *expression.Scope) []expression.Expression {
	return []expression.Expression{when("metadata.name", "must not evict a pod", expression.True)}
}
