// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func nodeOwnerReferences() policy.Rule {
	return policy.Rule{
		ID: "node-owner-references",
		Doc: policy.Doc{
			Title: "A kubelet may not give its Node an owner",
			Text: "The garbage collector deletes a Node whose owner is gone. A kubelet can delete its own CSINode: with that " +
				"as owner it has its Node deleted, and registers again with other labels and taints (as in CVE-2025-5187).",
			Kubelet: "A kubelet never writes owner references of its Node.",
			Attack:  `kubectl --kubeconfig kubelet.conf create -f node-owned-by-its-csinode.yaml`,
			Spec:    "spec.nodes.ownerReferences",
			Fields:  []string{"metadata.ownerReferences"},
			Since:   "v0.1.0",
			Source: "kubernetes v1.37.2 plugin/pkg/admission/noderestriction, which checks updates only; " +
				"kubernetes/kubernetes#133471",
		},
		Targets: nodeWrites(),
		Agents:  sameForAgents(nodeWrites()),
		Compile: compileNodeOwnerReferences,
		CEL:     stock(expressNodeOwnerReferences),
	}
}

func compileNodeOwnerReferences(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Nodes.OwnerReferences == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		old, updated := r.Node().OwnerReferences().Change()
		return compareKeys(ownersByText(old), ownersByText(updated)).violations("metadata.ownerReferences")
	}, nil
}

// ownersByText maps each owner, as kind and name, to its references.
func ownersByText(owners []metav1.OwnerReference) map[string]string {
	rest := make(map[string][]string, len(owners))
	for i := range owners {
		o := &owners[i]
		owner := o.Kind + " " + o.Name
		rest[owner] = append(rest[owner], o.String())
	}
	texts := make(map[string]string, len(rest))
	for owner, references := range rest {
		// Two different references to one owner are both kept.
		texts[owner] = strings.Join(references, ";")
	}
	return texts
}

func expressNodeOwnerReferences(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	old, owners := on.Both("metadata.ownerReferences", "[]")
	return []expression.Expression{named("metadata.ownerReferences", "must not change", on.Within(expression.MaxOwners, "owners",
		old, owners, expression.ChangedGroups(old, owners, ownerText, expression.Always)))}
}
