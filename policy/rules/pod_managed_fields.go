// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

func podManagedFields() policy.Rule {
	return policy.Rule{
		ID: "pod-managed-fields",
		Doc: policy.Doc{
			Title: "A kubelet may not apply a pod's status or metadata",
			Text: "Server-side apply through pods/status makes its sender a co-owner of every label and annotation that it sends, " +
				"changed or not: they stay on the pod when their owner no longer applies them.",
			Kubelet: "A kubelet patches pods/status and never applies. What it changes, it takes from the entries of others, " +
				"which keep their time.",
			Attack: `kubectl --kubeconfig kubelet.conf apply --server-side --force-conflicts --field-manager evil ` +
				`--subresource status -f pod-as-it-is.yaml`,
			Spec:   "spec.pods.managedFields",
			Fields: []string{managedFieldsPath},
			Since:  "v0.1.0",
			Source: "k8s.io/apimachinery v0.37.2 pkg/util/managedfields, k8s.io/apiserver v0.37.2 pkg/endpoints/handlers; " +
				"kubernetes v1.37.2 pkg/util/pod/pod.go",
		},
		Targets: podStatusWrites(),
		Agents:  sameForAgents(podUpdates()),
		Compile: compilePodManagedFields,
		CEL:     ownershipCEL(),
	}
}

func compilePodManagedFields(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Pods.ManagedFields == nil {
		return nil, nil
	}
	return checkOwnership, nil
}
