// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeConditions() policy.Rule {
	return policy.Rule{
		ID: "node-conditions",
		Doc: policy.Doc{
			Title: "A kubelet may write only its own conditions",
			Text: "Others drain, repair and taint nodes by their conditions. A kubelet that clears " +
				"NetworkUnavailable, or the finding of a problem detector, continues to receive pods.",
			Kubelet: "A kubelet writes Ready, MemoryPressure, DiskPressure and PIDPressure, and leaves all others as " +
				"they are.",
			Attack: "curl -X PATCH -H 'Content-Type: application/strategic-merge-patch+json' " +
				".../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"conditions":[{"type":"KernelDeadlock","status":"False"}]}}'`,
			Spec:   "spec.nodes.conditions",
			Fields: []string{"status.conditions"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/nodestatus/setters.go",
		},
		Targets: nodeStatusWrites(),
		Agents:  sameForAgents(nodeStatusWrites()),
		Compile: compileNodeConditions,
		CEL:     stock(expressNodeConditions),
	}
}

func compileNodeConditions(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Conditions
	if cfg == nil {
		return nil, nil
	}
	allowed, errs := pattern.CompileAll(cfg.Allowed, 64, at.Child("nodes", "conditions", "allowed"))
	mayWrite := func(t string) bool { return !forAgents(spec) && isKubeletCondition(t) || allowed.Match(t) }
	return func(r *policy.Request) []policy.Violation {
		old, updated := r.Node().Conditions().Change()
		changes := compareConditions(old, updated, mayWrite)
		return changes.violations("status.conditions")
	}, errs
}

func isKubeletCondition(t string) bool { return slices.Contains(kubeletConditions(), t) }

func kubeletConditions() []string {
	return []string{"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"}
}

func expressNodeConditions(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	return expressConditions(on, spec.Nodes.Conditions.Allowed, kubeletConditions(), func(_, _ string) string { return expression.False })
}
