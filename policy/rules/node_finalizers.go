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

func nodeFinalizers() policy.Rule {
	return policy.Rule{
		ID: "node-finalizers",
		Doc: policy.Doc{
			Title: "A kubelet may not add or remove finalizers of its Node",
			Text: "A finalizer that nobody removes makes an administrator's delete hang, so that a compromised node stays. " +
				"Removing another's skips the clean-up that waits behind it, such as an autoscaler's drain.",
			Kubelet: "A kubelet never writes finalizers.",
			Attack: `kubectl --kubeconfig kubelet.conf patch node "$NODE" --type merge ` +
				`-p '{"metadata":{"finalizers":["example.com/stay"]}}'`,
			Spec:   "spec.nodes.finalizers",
			Fields: []string{"metadata.finalizers"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 plugin/pkg/admission/noderestriction, which does not look at finalizers",
		},
		Targets: nodeWrites(),
		Agents:  sameForAgents(nodeWrites()),
		Compile: compileNodeFinalizers,
		CEL:     stock(expressNodeFinalizers),
	}
}

func compileNodeFinalizers(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Finalizers
	if cfg == nil {
		return nil, nil
	}
	allowed, errs := pattern.CompileAll(cfg.Allowed, 64, at.Child("nodes", "finalizers", "allowed"))
	return func(r *policy.Request) []policy.Violation {
		changes := compareSets(r.Node().Finalizers().Change())
		return changes.except(allowed.Match).violations("metadata.finalizers")
	}, errs
}

func expressNodeFinalizers(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	allowed := spec.Nodes.Finalizers.Allowed
	old, finalizers := on.Both("metadata.finalizers", "[]")
	return []expression.Expression{
		named("metadata.finalizers", "must not change", on.ChangedItems(old, finalizers, func(item string) string {
			return expression.Not(expression.Matches(item, allowed))
		})),
	}
}
