// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func mirrorPodNamespaces() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-namespaces",
		Doc: policy.Doc{
			Title: "A kubelet may create mirror pods only in allowed namespaces",
			Text: "A mirror pod in another's namespace uses up its quota, passes for a workload of it in network policies and " +
				"monitoring and, with the right labels, receives the traffic of its Services.",
			Kubelet: "A kubelet creates a mirror pod in the namespace of the static pod's manifest, or in default if it has " +
				"none.",
			Attack: `kubectl --kubeconfig kubelet.conf -n payments create -f mirror-pod.yaml`,
			Spec:   "spec.mirrorPods.namespaces",
			Fields: []string{"metadata.namespace"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/config/common.go (applyDefaults); KEP-1314",
		},
		Targets: podCreations(),
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Warn: func(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) []string {
			if spec.MirrorPods.Namespaces == nil {
				return nil
			}
			return warnUnreachable(spec.MirrorPods.Namespaces.Allowed, pattern.Namespaces(), at.Child("mirrorPods", "namespaces", "allowed"))
		},
		Compile: compileMirrorPodNamespaces,
		CEL:     exactly(expressMirrorPodNamespaces),
	}
}

func compileMirrorPodNamespaces(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.MirrorPods.Namespaces
	if cfg == nil {
		return nil, nil
	}
	list := cfg.Allowed
	if list == nil {
		list = []v1alpha1.Pattern{"kube-system"}
	}
	allowed, errs := pattern.CompileAll(list, 64, at.Child("mirrorPods", "namespaces", "allowed"))
	return func(r *policy.Request) []policy.Violation {
		if allowed.Match(r.Namespace) {
			return nil
		}
		return []policy.Violation{{Field: "metadata.namespace", Detail: "must not be in namespace " + text.Quote(r.Namespace)}}
	}, errs
}

func expressMirrorPodNamespaces(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	allowed := spec.MirrorPods.Namespaces.Allowed
	if allowed == nil {
		allowed = []v1alpha1.Pattern{"kube-system"}
	}
	return []expression.Expression{
		when("metadata.namespace", "must not be in this namespace", expression.Not(expression.Matches(on.Namespace(), allowed))),
	}
}
