// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func baselineLeases() policy.Rule {
	return policy.Rule{
		ID: "baseline-leases",
		Doc: policy.Doc{
			Title: "A kubelet may write the lease of its Node only",
			Text: "Without this a kubelet renews the lease of a dead Node, or takes that of another so that its pods " +
				"are moved away.",
			Kubelet: "A kubelet renews the lease of its Node in kube-node-lease.",
			Attack:  `kubectl --kubeconfig kubelet.conf -n kube-node-lease delete lease "$ANOTHER_NODE"`,
			Spec:    baselineSpec,
			Fields:  []string{"metadata.name", "metadata.namespace"},
			Since:   "v0.1.0",
			Source:  baselineSource + " (admitLease)",
		},
		OptIn:   true,
		Targets: baselineWrites("leases.coordination.k8s.io"),
		Agents:  kubeletsOnly(onlyPlugin),
		Compile: compileBaseline(v1alpha1.BaselineLeases, checkBaselineLease),
		CEL:     exactlyFor(v1alpha1.BaselineLeases, expressBaselineLeases),
	}
}

func checkBaselineLease(r *policy.Request) []policy.Violation {
	if r.Namespace != corev1.NamespaceNodeLease {
		return onlyViolation("metadata.namespace", "must be in namespace "+text.Quote(corev1.NamespaceNodeLease))
	}
	return checkNamedAsNode(r)
}

func expressBaselineLeases(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	return []expression.Expression{when("metadata.name", "must be the lease of this node", expression.And(on.InNodesGroup(),
		expression.Or(differs(on.Namespace(), quote(corev1.NamespaceNodeLease)), notNamedAsNode(on))))}
}
