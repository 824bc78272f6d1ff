// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func csiNodes() policy.Rule {
	return policy.Rule{
		ID: "csi-nodes",
		Doc: policy.Doc{
			Title: "A kubelet may give its CSINode no finalizer and no owner but its Node",
			Text: "A kubelet that puts a finalizer on its CSINode keeps it from being deleted; one that gives it a " +
				"foreign owner ties its life to another object.",
			Kubelet: "A kubelet creates its CSINode with its Node as owner, and writes its drivers.",
			Attack: `kubectl --kubeconfig kubelet.conf patch csinode "$NODE" --type merge -p ` +
				`'{"metadata":{"finalizers":["example.com/stay"]}}'`,
			Spec:   "spec.csiNodes",
			Fields: []string{"metadata.finalizers", "metadata.ownerReferences"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/volume/csi/nodeinfomanager",
		},
		OptIn:   true,
		Targets: []policy.Target{target("csinodes.storage.k8s.io", "", admissionv1.Create, admissionv1.Update)},
		LooksUp: csiNodesLookUp,
		Agents:  kubeletsOnly("the owner of a CSINode is for kubelets; name csinodes in objects"),
		Compile: compileCsiNodes,
		CEL: policy.CEL{
			Kind: policy.Narrower, Strictest: `{}`, Express: expressCsiNodes,
			Why: "the UID of the Node is a lookup",
		},
	}
}

func compileCsiNodes(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.CSINodes == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		return evaluateObjects(r, func(old, object *withMetadata) []policy.Violation {
			vs := compareSets(old.Finalizers, object.Finalizers).violations("metadata.finalizers")
			owners := compareKeys(ownersByText(old.OwnerReferences), ownersByText(object.OwnerReferences))
			if owners.none() {
				return vs
			}
			others := othersThanNode(r, object.OwnerReferences)
			own := func(text string) bool { isOther, has := others[text]; return has && !isOther }
			return append(vs, owners.except(own).violations("metadata.ownerReferences")...)
		})
	}, nil
}

// othersThanNode reports for each owner, by kind and name, whether a reference to it refers to something other than the kubelet's Node: it
// has another group, or another UID than the Node, if the Node's UID is known.
func othersThanNode(r *policy.Request, owners []metav1.OwnerReference) map[string]bool {
	node, known, err := r.LookUpNode(r.NodeName)
	known = known && err == nil
	others := make(map[string]bool, len(owners))
	for i := range owners {
		o := &owners[i]
		isOwn := ownedByNode(o, r.NodeName) && (!known || o.UID == node.UID)
		others[o.Kind+" "+o.Name] = others[o.Kind+" "+o.Name] || !isOwn
	}
	return others
}

func expressCsiNodes(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	oldFinalizers, finalizers := on.Both("metadata.finalizers", "[]")
	old, owners := on.Both("metadata.ownerReferences", "[]")
	own := expression.And("e.apiVersion == 'v1'", "e.kind == 'Node'", "e.name == "+on.NodeName())
	isOwn := owners + ".exists(e, " + ownerText + " == name) && " + owners + ".all(e, " + ownerText + " != name || " + own + ")"
	return []expression.Expression{
		named("metadata.finalizers", "must not change", on.ChangedItems(oldFinalizers, finalizers, expression.Always)),
		named("metadata.ownerReferences", "must not change", on.Within(expression.MaxOwners, "owners", old, owners,
			expression.ChangedGroups(old, owners, ownerText, func(string) string { return expression.Not(isOwn) }))),
	}
}
