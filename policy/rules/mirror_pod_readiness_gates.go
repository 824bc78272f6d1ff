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

func mirrorPodReadinessGates() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-readiness-gates",
		Doc: policy.Doc{
			Title: "A mirror pod may not have readiness gates",
			Text: "A load balancer's controller sets the condition of a readiness gate, and may treat a pod with its gate as one of " +
				"its targets. A mirror pod whose gate nobody sets is never ready, and so counts against a PodDisruptionBudget " +
				"that selects it.",
			Kubelet: "A kubelet copies the manifest of a static pod. No static pod of a known distribution has readiness gates. A " +
				"mutating webhook that adds them to pods may add them to mirror pods, too: allow those.",
			Attack: "kubectl --kubeconfig kubelet.conf create -f mirror-pod-with-readiness-gate.yaml",
			Spec:   "spec.mirrorPods.readinessGates",
			Fields: []string{"spec.readinessGates"},
			Since:  "v0.1.0",
			Source: "KEP-580; kubernetes v1.37.2 pkg/kubelet/status/generate.go (GeneratePodReadyCondition)",
		},
		Targets: podCreations(),
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodReadinessGates,
		CEL:     exactly(expressMirrorPodReadinessGates),
	}
}

func compileMirrorPodReadinessGates(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.MirrorPods.ReadinessGates
	if cfg == nil {
		return nil, nil
	}
	allowed, errs := pattern.CompileAll(cfg.Allowed, 64, at.Child("mirrorPods", "readinessGates", "allowed"))
	return func(r *policy.Request) []policy.Violation {
		var refused []string
		for _, gate := range r.Pod().ReadinessGates().New() {
			if !allowed.Match(gate.ConditionType) {
				refused = append(refused, gate.ConditionType)
			}
		}
		return appendViolation(nil, "spec.readinessGates", "must not have", refused)
	}, errs
}

func expressMirrorPodReadinessGates(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	gates := on.New("spec.readinessGates", "[]")
	refused := expression.Not(expression.Matches("e.conditionType", spec.MirrorPods.ReadinessGates.Allowed))
	return []expression.Expression{
		named("spec.readinessGates", "must not have", on.Within(expression.MaxItems, "readiness gates",
			"[]", gates, expression.Texts(expression.Filter(gates, "e", refused), "e.conditionType"))),
	}
}
