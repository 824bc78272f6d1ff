// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func podPhase() policy.Rule {
	return policy.Rule{
		ID: "pod-phase",
		Doc: policy.Doc{
			Title: "A kubelet may not bring a finished pod back",
			Text: "Jobs count finished pods, and quotas and the scheduler forget them. A kubelet that brings one back " +
				"fakes results and hides a running pod.",
			Kubelet: "A kubelet never leaves a terminal phase, except for mirror pods, which run again after a reboot. It " +
				"may turn Failed into Succeeded when the containers of an evicted pod exit with 0.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../pods/$FINISHED_POD/status -d " +
				`'{"status":{"phase":"Running"}}'`,
			Spec:   "spec.pods.phase",
			Fields: []string{"status.phase"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/kubelet_pods.go (generateAPIPodStatus)",
		},
		Targets: podStatusWrites(),
		Compile: compilePodPhase,
		CEL:     exactly(expressPodPhase),
	}
}

func compilePodPhase(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Pods.Phase == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		was, is := r.Pod().Phase().Change()
		if !isTerminal(was) || isTerminal(is) || object.IsMirror(r.Pod().Annotations().Old()) {
			return nil
		}
		detail := "must not go from " + text.Quote(string(was)) + " to " + text.Quote(string(is))
		return []policy.Violation{{Field: "status.phase", Detail: detail}}
	}, nil
}

func isTerminal(phase corev1.PodPhase) bool {
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}

func expressPodPhase(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	was, is := on.Both("status.phase", "''")
	const terminal = " in ['Succeeded', 'Failed']"
	mirror := quote(corev1.MirrorPodAnnotationKey) + " in " + on.Old("metadata.annotations", "{}")
	return []expression.Expression{when("status.phase", "must not leave a terminal phase",
		expression.And(was+terminal, expression.Not(is+terminal), expression.Not(mirror)))}
}
