// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func nodePodCIDRs() policy.Rule {
	return policy.Rule{
		ID: "node-pod-cidrs",
		Doc: policy.Doc{
			Title: "A kubelet may not choose the addresses of its pods",
			Text: "With another Node's range, or any at all, a kubelet receives traffic that routes and network " +
				"policies mean for others.",
			Kubelet: "A kubelet never writes podCIDR or podCIDRs; the controller manager allots them.",
			Attack: `kubectl --kubeconfig kubelet.conf patch node "$NODE" -p ` +
				`'{"spec":{"podCIDR":"10.244.9.0/24","podCIDRs":["10.244.9.0/24"]}}'`,
			Spec:   "spec.nodes.podCIDRs",
			Fields: []string{"spec.podCIDR", "spec.podCIDRs"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/apis/core/validation (ValidateNodeUpdate)",
		},
		Targets: nodeSpecWrites(),
		Agents:  sameForAgents(nodeSpecWrites()),
		Compile: compileNodePodCIDRs,
		CEL:     stock(expressNodePodCIDRs),
	}
}

func compileNodePodCIDRs(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Nodes.PodCIDRs == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		vs := compareSets(r.Node().PodCIDRs().Change()).violations("spec.podCIDRs")
		if old, updated := r.Node().PodCIDR().Change(); old != updated {
			vs = append(vs, policy.Violation{Field: "spec.podCIDR", Detail: "must not set podCIDR to " + text.Quote(updated)})
		}
		return vs
	}, nil
}

func expressNodePodCIDRs(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	old, cidrs := on.Both("spec.podCIDRs", "[]")
	return []expression.Expression{
		named("spec.podCIDRs", "must not change", on.ChangedItems(old, cidrs, expression.Always)),
		when("spec.podCIDR", "must not set podCIDR", differs(on.Both("spec.podCIDR", "''"))),
	}
}
