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
			Title: "A kubelet may not bring a finished pod back, nor report success of one that runs",
			Text: "Jobs count finished pods, and quotas and the scheduler forget them. A kubelet that brings one back, or " +
				"reports success of one whose containers run, fakes results and hides a running pod.",
			Kubelet: "A kubelet never leaves a terminal phase, except for mirror pods, which run again after a reboot. It " +
				"may turn Failed into Succeeded when the containers of an evicted pod exit with 0. It reports success only " +
				"after all containers have stopped; but an evicted pod may be Failed while its last status still says that a " +
				"container runs.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../pods/$FINISHED_POD/status -d " +
				`'{"status":{"phase":"Running"}}'`,
			Spec:   "spec.pods.phase",
			Fields: []string{"status.phase", "status.containerStatuses"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/kubelet_pods.go (generateAPIPodStatus), pkg/kubelet/status/status_manager.go " +
				"(mergePodStatus)",
		},
		Targets: podStatusWrites(),
		Agents:  sameForAgents(podStatusWrites()),
		Compile: compilePodPhase,
		CEL:     stock(expressPodPhase),
	}
}

func compilePodPhase(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Pods.Phase == nil {
		return nil, nil
	}
	if forAgents(spec) {
		return frozen("status", "phase"), nil
	}
	return func(r *policy.Request) []policy.Violation {
		pod := r.Pod()
		was, is := pod.Phase().Change()
		if isTerminal(was) == isTerminal(is) || object.IsMirror(pod.Annotations().Old()) {
			return nil
		}
		detail := "must not go from " + text.Quote(string(was)) + " to " + text.Quote(string(is))
		switch is {
		case corev1.PodSucceeded:
			return appendViolation(nil, "status.phase", detail+" with running container", runningOf(pod.ContainerStatuses().New()))
		case corev1.PodFailed:
			return nil // an evicted pod's status may still have the containers as they were before the eviction
		}
		return []policy.Violation{{Field: "status.phase", Detail: detail}}
	}, nil
}

// runningOf returns the names of the containers that run.
func runningOf(statuses []object.ContainerStatus) []string {
	var names []string
	for i := range statuses {
		if statuses[i].Runs() {
			names = append(names, statuses[i].Name)
		}
	}
	return names
}

// endsPod reports whether a write makes a pod Succeeded or Failed that was not before.
func endsPod(pod *object.Pod) bool {
	was, is := pod.Phase().Change()
	return !isTerminal(was) && isTerminal(is)
}

func isTerminal(phase corev1.PodPhase) bool {
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}

func expressPodPhase(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	was, is := on.Both("status.phase", "''")
	notMirror := expression.Not(celIsMirror(on))
	statuses := on.New("status.containerStatuses", "[]")
	// The containers of a pod are its tenant's.
	unbounded := on.Longer(expression.MaxItems, on.New("spec.containers", "[]"))
	running := expression.If(unbounded, expression.None, on.Within(expression.MaxItems, "containers", "[]", statuses,
		expression.Texts(expression.Filter(statuses, "e", "e.?state.?running.hasValue()"), "e.name")))
	return []expression.Expression{
		when("status.phase", "must not leave a terminal phase",
			expression.And(celIsTerminal(was), expression.Not(celIsTerminal(is)), notMirror)),
		named("status.phase", "must not succeed with running container", expression.If(
			expression.And(is+" == "+quote(string(corev1.PodSucceeded)), expression.Not(celIsTerminal(was)), notMirror),
			running, expression.None)),
	}
}

// celEndsPod is [endsPod] in CEL.
func celEndsPod(on *expression.Scope) string {
	was, is := on.Both("status.phase", "''")
	return expression.And(celIsTerminal(is), expression.Not(celIsTerminal(was)))
}

// celIsTerminal is [isTerminal] in CEL.
func celIsTerminal(phase string) string {
	return expression.In(phase, corev1.PodSucceeded, corev1.PodFailed)
}

// celIsMirror says in CEL that the stored pod is a mirror pod.
func celIsMirror(on *expression.Scope) string {
	return quote(corev1.MirrorPodAnnotationKey) + " in " + on.Old("metadata.annotations", "{}")
}
