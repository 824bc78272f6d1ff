// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func nodeDirectUpdates() policy.Rule {
	return policy.Rule{
		ID: "node-direct-updates",
		Doc: policy.Doc{
			Title: "A kubelet may not write its Node but through nodes/status",
			Text: "Cordons, taints, pod ranges and provider IDs are written through the Node itself, where a stock " +
				"kubelet has nothing to do after registration.",
			Kubelet: "After registration a kubelet writes nodes/status only. Agents of distributions write the Node, such as " +
				"those of AKS, k3s and Talos, and kubeadm before 1.37 when a node joins or is upgraded.",
			Attack: `kubectl --kubeconfig kubelet.conf annotate node "$NODE" example.com/any=thing`,
			Spec:   "spec.nodes.directUpdates",
			Fields: []string{"metadata", "spec"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/kubelet_node_status.go, pkg/volume/csi/nodeinfomanager",
		},
		Targets: nodeUpdates(),
		Agents:  sameForAgents(nodeUpdates()),
		Compile: compileNodeDirectUpdates,
		CEL:     stock(expressNodeDirectUpdates),
	}
}

func compileNodeDirectUpdates(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Nodes.DirectUpdates == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		if object.SameObject(r.OldObject, r.Object) {
			return nil
		}
		return []policy.Violation{{Field: "metadata", Detail: "must not change the Node except through nodes/status"}}
	}, nil
}

func expressNodeDirectUpdates(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	return []expression.Expression{
		when("metadata", "must not change the Node except through nodes/status", expression.Not(sameObject(on))),
	}
}
