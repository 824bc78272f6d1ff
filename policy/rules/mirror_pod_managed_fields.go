// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

func mirrorPodManagedFields() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-managed-fields",
		Doc: policy.Doc{
			Title: "A mirror pod may not have fields that somebody seems to have applied",
			Text: "Who creates an object may write its managedFields. With an Apply entry in the name of a deployment tool a " +
				"mirror pod passes for one that the tool applied.",
			Kubelet: "A kubelet posts mirror pods without managedFields; the API server adds an entry of operation Update.",
			Attack:  `kubectl --kubeconfig kubelet.conf create -f mirror-pod-applied-by-argocd.yaml`,
			Spec:    "spec.mirrorPods.managedFields",
			Fields:  []string{managedFieldsPath},
			Since:   "v0.1.0",
			Source: "k8s.io/apiserver v0.37.2 pkg/endpoints/handlers/create.go; k8s.io/apimachinery v0.37.2 " +
				"pkg/util/managedfields; kubernetes v1.37.2 pkg/kubelet/pod/mirror_client.go",
		},
		Targets: podCreations(),
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodManagedFields,
		CEL:     ownershipCEL(),
	}
}

func compileMirrorPodManagedFields(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.MirrorPods.ManagedFields == nil {
		return nil, nil
	}
	return checkOwnership, nil
}
