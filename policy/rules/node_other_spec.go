// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func nodeOtherSpec() policy.Rule {
	return policy.Rule{
		ID: "node-other-spec",
		Doc: policy.Doc{
			Title: "A kubelet may not change the rest of the spec of its Node",
			Text: "A field of spec that no rule is about, or that is newer than this program, could be a way around " +
				"the others.",
			Kubelet: "A kubelet writes no other field of spec. At registration a newer one may set a newer field: only " +
				"externalID, podPreemptionPolicy and configSource are refused there.",
			Attack: "kubectl --kubeconfig kubelet.conf create -f node-with-external-id.yaml",
			Spec:   "spec.nodes.otherSpec",
			Fields: []string{"spec"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/registry/core/node/strategy.go",
		},
		Targets: nodeSpecWrites(),
		Agents:  sameForAgents(nodeSpecWrites()),
		Compile: compileNodeOtherSpec,
		CEL:     stock(expressNodeOtherSpec),
	}
}

func compileNodeOtherSpec(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Nodes.OtherSpec == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		changes := compareValues(r.Node().OtherSpec())
		if r.Operation == admissionv1.Create && r.Subject.IsKubelet() {
			changes = changes.except(func(key string) bool {
				return key != "externalID" && key != "podPreemptionPolicy" && key != "configSource"
			})
		}
		return changes.violations("spec")
	}, nil
}

func expressNodeOtherSpec(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	old, spec := on.Both("spec", "{}")
	ignored := func(name string) string {
		if on.Operation == expression.Create {
			return expression.Not(expression.In(name, "externalID", "podPreemptionPolicy", "configSource"))
		}
		return expression.In(name, "taints", "unschedulable", "podCIDR", "podCIDRs", "providerID")
	}
	names := expression.Filter(spec, "key", expression.Not(ignored("key")))
	if on.Operation != expression.Create {
		names = expression.ChangedFields(old, spec, ignored)
	}
	return []expression.Expression{named("spec", "must not change", names)}
}
