// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func baselineCSINodes() policy.Rule {
	return policy.Rule{
		ID: "baseline-csi-nodes",
		Doc: policy.Doc{
			Title:   "A kubelet may write its own CSINode only",
			Text:    "Without this a kubelet hides the storage drivers of other nodes, so that their pods do not start.",
			Kubelet: "A kubelet writes the drivers on its node to the CSINode of its name.",
			Attack:  `kubectl --kubeconfig kubelet.conf delete csinode "$ANOTHER_NODE"`,
			Spec:    baselineSpec,
			Fields:  []string{"metadata.name"},
			Since:   "v0.1.0",
			Source:  baselineSource + " (admitCSINode), with the feature gate CSIVolumeHealth off",
		},
		OptIn:   true,
		Targets: baselineWrites("csinodes.storage.k8s.io"),
		Agents:  kubeletsOnly(onlyPlugin),
		Compile: compileBaseline(v1alpha1.BaselineCSINodes, checkBaselineCSINode),
		CEL:     exactlyFor(v1alpha1.BaselineCSINodes, expressBaselineCsiNodes),
	}
}

func checkBaselineCSINode(r *policy.Request) []policy.Violation {
	if r.Subresource == "status" {
		return onlyViolation("status", "must not write the status of a CSINode")
	}
	return checkNamedAsNode(r)
}

func expressBaselineCsiNodes(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	violates := notNamedAsNode(on)
	if on.Subresource == "status" {
		violates = expression.True
	}
	return []expression.Expression{when("metadata.name", "must be the CSINode of this node", expression.And(on.InNodesGroup(), violates))}
}
