// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func mirrorPodFinalizers() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-finalizers",
		Doc: policy.Doc{
			Title:   "A mirror pod may not have finalizers",
			Text:    "With a finalizer that nobody removes, the deletion of the pod hangs, and that of its namespace with it.",
			Kubelet: "A kubelet copies the finalizers of the static pod's manifest, which has none.",
			Attack:  `kubectl --kubeconfig kubelet.conf create -f mirror-pod-with-finalizer.yaml`,
			Spec:    "spec.mirrorPods.finalizers",
			Fields:  []string{"metadata.finalizers"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 pkg/kubelet/pod/mirror_client.go",
		},
		Targets: podCreations(),
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodFinalizers,
		CEL:     stock(expressMirrorPodFinalizers),
	}
}

func compileMirrorPodFinalizers(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.MirrorPods.Finalizers
	if cfg == nil {
		return nil, nil
	}
	allowed, errs := pattern.CompileAll(cfg.Allowed, 64, at.Child("mirrorPods", "finalizers", "allowed"))
	return func(r *policy.Request) []policy.Violation {
		refused := without(r.Pod().Finalizers().New(), allowed.Match)
		return appendViolation(nil, "metadata.finalizers", "must not have", refused)
	}, errs
}

func expressMirrorPodFinalizers(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	allowed := spec.MirrorPods.Finalizers.Allowed
	refused := func(item string) string { return expression.Not(expression.Matches(item, allowed)) }
	return []expression.Expression{
		named("metadata.finalizers", "must not have", on.AddedItems("[]", on.New("metadata.finalizers", "[]"), refused)),
	}
}
