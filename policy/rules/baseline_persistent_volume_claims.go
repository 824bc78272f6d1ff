// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func baselinePersistentVolumeClaims() policy.Rule {
	return policy.Rule{
		ID: "baseline-persistent-volume-claims",
		Doc: policy.Doc{
			Title: "A kubelet may write the size and conditions of claims only",
			Text: "Without this a kubelet relabels claims, gives them owners and finalizers, and changes what else " +
				"their status says.",
			Kubelet: "A kubelet reports in a claim's status how far it has expanded the volume.",
			Attack: `kubectl --kubeconfig kubelet.conf patch pvc "$CLAIM" --subresource=status --type=merge ` +
				`-p '{"metadata":{"labels":{"team":"other"}}}'`,
			Spec:   baselineSpec,
			Fields: []string{"metadata", "spec", "status"},
			Since:  "v0.1.0",
			Source: baselineSource + " (admitPVCStatus)",
		},
		OptIn:   true,
		Targets: baselineWrites("persistentvolumeclaims"),
		Agents:  kubeletsOnly(onlyPlugin),
		Compile: compileBaseline(v1alpha1.BaselinePersistentVolumeClaims, checkBaselineClaim),
		CEL:     exactlyFor(v1alpha1.BaselinePersistentVolumeClaims, expressBaselinePersistentVolumeClaims),
	}
}

func checkBaselineClaim(r *policy.Request) []policy.Violation {
	if r.Subresource != "status" || r.Operation != admissionv1.Update {
		return onlyViolation("", "must not write a claim except to update its status")
	}
	old, updated, ok := changedOfClaim(r)
	if !ok {
		return malformed("")
	}
	ignoreExpansion(old)
	ignoreExpansion(updated)
	var vs []policy.Violation
	for _, part := range []struct {
		field        string
		old, updated any
	}{
		{"metadata", old.ObjectMeta, updated.ObjectMeta},
		{"spec", old.Spec, updated.Spec},
		{"status", old.Status, updated.Status},
	} {
		if !equality.Semantic.DeepEqual(part.old, part.updated) {
			vs = append(vs, policy.Violation{Field: part.field, Detail: "must not change the claim's " + part.field})
		}
	}
	return vs
}

// changedOfClaim returns both objects with only the parts in which they differ. The other parts may be long, because tenants write them.
func changedOfClaim(r *policy.Request) (old, updated *corev1.PersistentVolumeClaim, ok bool) {
	differences, err := object.Differences(r.OldObject, r.Object)
	if err != nil {
		return nil, nil, false
	}
	old, updated = &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolumeClaim{}
	for i := range differences {
		if d := &differences[i]; d.Section != "" && !d.IsManagedFields() &&
			(d.DecodeOld(old) != nil || d.DecodeUpdated(updated) != nil) {
			return nil, nil, false
		}
	}
	return old, updated, true
}

// ignoreExpansion clears the fields that a kubelet may change, and those that the API server manages.
func ignoreExpansion(c *corev1.PersistentVolumeClaim) {
	c.ResourceVersion, c.ManagedFields = "", nil
	c.Status.Capacity, c.Status.Conditions = nil, nil
	c.Status.AllocatedResources, c.Status.AllocatedResourceStatuses = nil, nil
}

func expressBaselinePersistentVolumeClaims(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	if on.Subresource != "status" || on.Operation != expression.Update {
		return []expression.Expression{when("", "must not write a claim except to update its status", on.InNodesGroup())}
	}
	changed := func(part string, ignored ...string) expression.Expression {
		old, updated := on.Both(part, "{}")
		names := expression.ChangedFields(old, updated, func(name string) string { return expression.In(name, ignored...) })
		return named(part, "must not change", expression.If(on.InNodesGroup(), names, expression.None))
	}
	return []expression.Expression{
		changed("metadata", "resourceVersion", "managedFields"),
		changed("spec"),
		changed("status", "capacity", "conditions", "allocatedResources", "allocatedResourceStatuses"),
	}
}
