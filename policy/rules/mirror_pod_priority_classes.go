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

func mirrorPodPriorityClasses() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-priority-classes",
		Doc: policy.Doc{
			Title: "A mirror pod may have only an allowed priority class",
			Text: "A mirror pod of a high class keeps the scheduler from placing other pods on the node, and passes " +
				"for one that an administrator approved.",
			Kubelet: "A kubelet copies the class of the manifest: system-node-critical for control planes, often none.",
			Attack:  "kubectl --kubeconfig kubelet.conf create -f mirror-pod-of-class-payments-critical.yaml",
			Spec:    "spec.mirrorPods.priorityClasses",
			Fields:  []string{"spec.priorityClassName"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 plugin/pkg/admission/priority",
		},
		Targets: podCreations(),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodPriorityClasses,
		CEL:     exactly(expressMirrorPodPriorityClasses),
	}
}

func compileMirrorPodPriorityClasses(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.MirrorPods.PriorityClasses
	if cfg == nil {
		return nil, nil
	}
	list := cfg.Allowed
	if list == nil {
		list = []v1alpha1.Pattern{"system-node-critical", "system-cluster-critical"}
	}
	allowed, errs := pattern.CompileAll(list, 32, at.Child("mirrorPods", "priorityClasses", "allowed"))
	return func(r *policy.Request) []policy.Violation {
		if class := r.Pod().PriorityClassName().New(); class != "" && !allowed.Match(class) {
			return []policy.Violation{{Field: "spec.priorityClassName", Detail: "must not have priority class " + text.Quote(class)}}
		}
		return nil
	}, errs
}

func expressMirrorPodPriorityClasses(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	allowed := spec.MirrorPods.PriorityClasses.Allowed
	if allowed == nil {
		allowed = []v1alpha1.Pattern{"system-node-critical", "system-cluster-critical"}
	}
	class := on.New("spec.priorityClassName", "''")
	return []expression.Expression{when("spec.priorityClassName", "must not have this priority class",
		expression.And(class+" != ''", expression.Not(expression.Matches(class, allowed))))}
}
