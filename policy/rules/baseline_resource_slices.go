// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func baselineResourceSlices() policy.Rule {
	return policy.Rule{
		ID: "baseline-resource-slices",
		Doc: policy.Doc{
			Title: "A kubelet may create and delete the ResourceSlices of its node only",
			Text: "Without this a kubelet offers devices on other nodes, or deletes what others offer, and so draws or " +
				"starves pods that ask for devices.",
			Kubelet: "A kubelet deletes the slices of its node when their driver is gone.",
			Attack:  "kubectl --kubeconfig kubelet.conf create -f resource-slice-of-another-node.yaml",
			Spec:    baselineSpec,
			Fields:  []string{"spec.nodeName"},
			Since:   "v0.1.0",
			Source:  baselineSource + " (admitResourceSlice)",
		},
		OptIn: true,
		Targets: []policy.Target{
			target("resourceslices.resource.k8s.io", "", admissionv1.Create, admissionv1.Delete),
			target("resourceslices.resource.k8s.io", policy.AnySubresource, admissionv1.Create, admissionv1.Delete),
		},
		Agents:  kubeletsOnly(onlyPlugin),
		Compile: compileBaseline(v1alpha1.BaselineResourceSlices, checkBaselineSlice),
		CEL:     exactlyFor(v1alpha1.BaselineResourceSlices, expressBaselineResourceSlices),
	}
}

// checkBaselineSlice does not check updates: the Node authorizer does, which knows the slice.
func checkBaselineSlice(r *policy.Request) []policy.Violation {
	raw := r.Object
	if r.Operation == admissionv1.Delete {
		raw = r.OldObject
	}
	slice, ok := decoded[struct {
		Spec struct {
			NodeName *string `json:"nodeName"`
		} `json:"spec"`
	}](raw)
	switch {
	case !ok:
		return malformed("")
	case slice.Spec.NodeName == nil || *slice.Spec.NodeName != r.NodeName:
		return onlyViolation("spec.nodeName", "must not "+verb(r.Operation)+" a ResourceSlice that is not of this node")
	}
	return nil
}

func expressBaselineResourceSlices(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	nodeName := on.New("spec.nodeName", "''")
	if on.Operation == expression.Delete {
		nodeName = on.Old("spec.nodeName", "''")
	}
	return []expression.Expression{when("spec.nodeName", "must not write a ResourceSlice that is not of this node",
		expression.And(on.InNodesGroup(), differs(nodeName, on.NodeName())))}
}
