// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func resourceSlices() policy.Rule {
	return policy.Rule{
		ID: "resource-slices",
		Doc: policy.Doc{
			Title: "A kubelet may only delete ResourceSlices",
			Text: "A ResourceSlice offers devices. A kubelet that writes one draws pods which ask for devices that it " +
				"does not have.",
			Kubelet: "A kubelet deletes the slices of drivers that are gone. Most drivers write theirs with their own service " +
				"accounts. On AKS, the managed driver for NVIDIA GPUs is a service of the node and writes as the kubelet: " +
				"leave the section out there.",
			Attack: "kubectl --kubeconfig kubelet.conf create -f resource-slice.yaml",
			Spec:   "spec.resourceSlices",
			Fields: []string{"metadata.name"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/cm/dra/plugin/dra_plugin_manager.go",
		},
		OptIn:   true,
		Targets: []policy.Target{target("resourceslices.resource.k8s.io", "", admissionv1.Create, admissionv1.Update)},
		Agents:  kubeletsOnly("it denies all slices; name resourceslices in objects"),
		Compile: compileResourceSlices,
		CEL:     exactly(expressResourceSlices),
	}
}

func compileResourceSlices(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.ResourceSlices == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		if r.Operation == admissionv1.Update && object.SameObject(r.OldObject, r.Object) {
			return nil
		}
		return []policy.Violation{{Field: "metadata.name", Detail: "must not write a ResourceSlice"}}
	}, nil
}

func expressResourceSlices(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	violates := expression.True
	if on.Operation == expression.Update {
		violates = expression.Not(sameObject(on))
	}
	return []expression.Expression{when("metadata.name", "must not write a ResourceSlice", violates)}
}
