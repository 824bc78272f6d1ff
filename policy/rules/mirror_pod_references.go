// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func mirrorPodReferences() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-references",
		Doc: policy.Doc{
			Title: "A mirror pod may not refer to API objects that the NodeRestriction plugin does not look for",
			Text: "A mirror pod that joins a scheduling group counts as one of its pods: a gang is scheduled that is " +
				"not complete.",
			Kubelet: "A kubelet copies the manifest of a static pod, in which references to API objects have no effect.",
			Attack:  "kubectl --kubeconfig kubelet.conf create -f mirror-pod-in-scheduling-group.yaml",
			Spec:    "spec.mirrorPods.references",
			Fields:  []string{"spec.schedulingGroup"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 pkg/api/pod/util.go (HasAPIObjectReference)",
		},
		Targets: podCreations(),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodReferences,
		CEL:     exactly(expressMirrorPodReferences),
	}
}

func compileMirrorPodReferences(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.MirrorPods.References == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		if object.IsEmpty(r.Pod().SchedulingGroup().New()) {
			return nil
		}
		return []policy.Violation{{Field: "spec.schedulingGroup", Detail: "must not be in a scheduling group"}}
	}, nil
}

func expressMirrorPodReferences(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	return []expression.Expression{
		when("spec.schedulingGroup", "must not be in a scheduling group", on.New("spec.schedulingGroup", "{}")+" != {}"),
	}
}
