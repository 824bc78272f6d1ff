// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

func nodeManagedFields() policy.Rule {
	return policy.Rule{
		ID: "node-managed-fields",
		Doc: policy.Doc{
			Title: "A kubelet may not own fields of its Node that it does not change",
			Text: "Server-side apply makes its sender a co-owner of every field that it sends, changed or not. A label that a " +
				"kubelet co-owns, also one under node-restriction.kubernetes.io, stays on the Node when the administrator no " +
				"longer applies it; annotations and taints alike. In a direct update a kubelet can also write managedFields " +
				"itself: claim fields, or take them from their owners, so that nothing is removed any more.",
			Kubelet: "A kubelet never applies. What it changes, it takes from the entries of others, which keep their time.",
			Attack: `kubectl --kubeconfig kubelet.conf apply --server-side --force-conflicts --field-manager evil ` +
				`--subresource status -f node-as-it-is.yaml`,
			Spec:   "spec.nodes.managedFields",
			Fields: []string{managedFieldsPath},
			Since:  "v0.1.0",
			Source: "k8s.io/apimachinery v0.37.2 pkg/util/managedfields, sigs.k8s.io/structured-merge-diff v6 merge/update.go, " +
				"k8s.io/apiserver v0.37.2 pkg/endpoints/handlers; kubernetes v1.37.2 pkg/kubelet, which never applies",
		},
		Targets: nodeWrites(),
		Agents:  sameForAgents(nodeWrites()),
		Compile: compileNodeManagedFields,
		CEL:     ownershipCEL(),
	}
}

func compileNodeManagedFields(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Nodes.ManagedFields == nil {
		return nil, nil
	}
	return checkOwnership, nil
}
