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

func mirrorPodPlacement() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-placement",
		Doc: policy.Doc{
			Title: "A mirror pod may not constrain where other pods go",
			Text: "Affinity, anti-affinity and spread constraints count in both directions: a mirror pod with " +
				"anti-affinity to everything keeps other pods off its zone.",
			Kubelet: "A kubelet copies the manifest of a static pod, in which these fields have no effect.",
			Attack:  "kubectl --kubeconfig kubelet.conf create -f mirror-pod-with-anti-affinity.yaml",
			Spec:    "spec.mirrorPods.placement",
			Fields:  []string{"spec.affinity", "spec.topologySpreadConstraints"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 pkg/scheduler/framework/plugins/interpodaffinity",
		},
		Targets: podCreations(),
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodPlacement,
		CEL:     exactly(expressMirrorPodPlacement),
	}
}

func compileMirrorPodPlacement(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.MirrorPods.Placement == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		var has []string
		if a := r.Pod().Affinity().New(); a != nil {
			if !object.IsEmpty(a.PodAffinity) {
				has = append(has, "podAffinity")
			}
			if !object.IsEmpty(a.PodAntiAffinity) {
				has = append(has, "podAntiAffinity")
			}
		}
		vs := appendViolation(nil, "spec.affinity", "must not have", has)
		if len(r.Pod().TopologySpreadConstraints().New()) > 0 {
			vs = append(vs, policy.Violation{
				Field: "spec.topologySpreadConstraints", Detail: "must not have topology spread constraints",
			})
		}
		return vs
	}, nil
}

func expressMirrorPodPlacement(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	return []expression.Expression{
		when("spec.affinity", "must not have podAffinity", on.New("spec.affinity.podAffinity", "{}")+" != {}"),
		when("spec.affinity", "must not have podAntiAffinity", on.New("spec.affinity.podAntiAffinity", "{}")+" != {}"),
		when("spec.topologySpreadConstraints", "must not have topology spread constraints",
			expression.NotEmpty(on.New("spec.topologySpreadConstraints", "[]"))),
	}
}
