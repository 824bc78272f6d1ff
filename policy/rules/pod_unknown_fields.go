// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

func podUnknownFields() policy.Rule {
	return policy.Rule{
		ID: "pod-unknown-fields",
		Doc: policy.Doc{
			Title: "A kubelet may not change fields that this program does not know",
			Text: "An API server that is newer than this program may have fields which no rule is about yet. With this rule " +
				"such a field is closed instead of open.",
			Kubelet: "A kubelet that is not newer than this program writes no unknown field; a newer one may, and is denied.",
			Attack: `curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../pods/$POD/status ` +
				`-d '{"status":{"newField":"x"}}'`,
			Spec:   "spec.pods.unknownFields",
			Fields: []string{"metadata", "spec", "status"},
			Since:  "v0.1.0",
			Source: "the fields of k8s.io/api v0.37.2",
		},
		Targets: podStatusWrites(),
		Agents:  sameForAgents(podUpdates()),
		Compile: compilePodUnknownFields,
		CEL: policy.CEL{
			Kind: policy.NotAtAll, Strictest: `{}`, Touches: touchesNothing,
			Why: "an API server drops the fields that it does not know, and those that only the webhook does not know cannot be listed",
		},
	}
}

func compilePodUnknownFields(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Pods.UnknownFields == nil {
		return nil, nil
	}
	known := object.Shapes{}.Of(reflect.TypeFor[corev1.Pod]())
	return func(r *policy.Request) []policy.Violation { return unknownChanges(r, known) }, nil
}
