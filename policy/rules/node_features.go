// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeFeatures() policy.Rule {
	return policy.Rule{
		ID: "node-features",
		Doc: policy.Doc{
			Title:   "A kubelet may declare only allowed features",
			Text:    "The scheduler and admission send pods that need a feature to the nodes which declare it.",
			Kubelet: "A kubelet declares the features of its version and feature gates when it starts.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"declaredFeatures":["GuaranteedQoSPodCPUResize"]}}'`,
			Spec:   "spec.nodes.features",
			Fields: []string{"status.declaredFeatures"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/kubelet_node_status.go, plugin/pkg/admission/nodedeclaredfeatures",
		},
		Targets: nodeStatusWrites(),
		Agents:  sameForAgents(nodeStatusWrites()),
		Compile: compileNodeFeatures,
		CEL:     exactly(expressNodeFeatures),
	}
}

func compileNodeFeatures(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Features
	if cfg == nil {
		return nil, nil
	}
	if forAgents(spec) {
		return frozen("status", "declaredFeatures"), refuseForAgents(spec, at.Child("nodes", "features"), setting{"allowed", cfg.Allowed != nil})
	}
	allowed, errs := pattern.CompileAll(cfg.Allowed, 256, at.Child("nodes", "features", "allowed"))
	return func(r *policy.Request) []policy.Violation {
		old, updated := r.Node().DeclaredFeatures().Change()
		added := compareSets(old, updated).added
		var vs []policy.Violation
		if n := len(updated); n > maxFeatures && len(added) > 0 {
			vs = append(vs, policy.Violation{
				Field: "status.declaredFeatures", Detail: "must not declare " + strconv.Itoa(n) + " features",
			})
		}
		if len(allowed) > 0 {
			vs = appendViolation(vs, "status.declaredFeatures", "must not declare", without(added, allowed.Match))
		}
		return vs
	}, errs
}

const maxFeatures = 256

func expressNodeFeatures(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	old, features := on.Both("status.declaredFeatures", "[]")
	expressions := []expression.Expression{when("status.declaredFeatures", "must not declare so many features",
		expression.And(larger(features, maxFeatures), expression.Changed(old, features)))}
	if allowed := spec.Nodes.Features.Allowed; len(allowed) > 0 {
		expressions = append(expressions, named("status.declaredFeatures", "must not declare",
			on.AddedItems(old, features, func(item string) string { return expression.Not(expression.Matches(item, allowed)) })))
	}
	return expressions
}
