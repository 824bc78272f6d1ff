// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/pattern"
)

func podConditions() policy.Rule {
	return policy.Rule{
		ID: "pod-conditions",
		Doc: policy.Doc{
			Title: "A kubelet may write only its own conditions of pods",
			Text: "Readiness gates are conditions that load balancers and others set. A kubelet that sets them puts a " +
				"pod into traffic before it is healthy, or holds up a rollout. DisruptionTarget says who ends a pod: the " +
				"scheduler, the taint manager, an eviction. The podFailurePolicy of a Job can ignore such failures.",
			Kubelet: "A kubelet writes PodScheduled, Initialized, ContainersReady, Ready, PodReadyToStartContainers, " +
				"PodResizePending, PodResizeInProgress and AllContainersRestarting. It writes DisruptionTarget only in the " +
				"write with which the pod fails or succeeds: it adds one with the reason TerminationByKubelet, or brings " +
				"back the one of somebody else that it had read before.",
			Attack: "curl -X PATCH -H 'Content-Type: application/strategic-merge-patch+json' .../pods/$POD/status -d " +
				`'{"status":{"conditions":[{"type":"example.com/gate","status":"True"}]}}'`,
			Spec:   "spec.pods.conditions",
			Fields: []string{"status.conditions"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/types/pod_status.go, pkg/kubelet/status/status_manager.go (mergePodStatus)",
		},
		Targets: podStatusWrites(),
		Agents:  sameForAgents(podStatusWrites()),
		Compile: compilePodConditions,
		CEL:     stock(expressPodConditions),
	}
}

func compilePodConditions(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Pods.Conditions
	if cfg == nil {
		return nil, nil
	}
	allowed, errs := pattern.CompileAll(cfg.Allowed, 64, at.Child("pods", "conditions", "allowed"))
	mayWrite := func(t string) bool { return !forAgents(spec) && isKubeletPodCondition(t) || allowed.Match(t) }
	return func(r *policy.Request) []policy.Violation {
		old, updated := r.Pod().Conditions().Change()
		changes := compareConditions(old, updated, mayWrite)
		if !changes.none() && !forAgents(spec) && endsPod(r.Pod()) {
			changes.changed = without(changes.changed, isDisruptionTarget)
			if !slices.ContainsFunc(updated, isOthersDisruption) {
				changes.added = without(changes.added, isDisruptionTarget)
			}
		}
		return changes.violations("status.conditions")
	}, errs
}

func isDisruptionTarget(conditionType string) bool {
	return conditionType == string(corev1.DisruptionTarget)
}

// isOthersDisruption reports whether somebody other than the kubelet ends the pod.
func isOthersDisruption(c object.Condition) bool {
	return isDisruptionTarget(c.Type) && c.Reason() != corev1.PodReasonTerminationByKubelet
}

func isKubeletPodCondition(t string) bool { return slices.Contains(kubeletPodConditions(), t) }

func kubeletPodConditions() []string {
	return []string{
		"PodScheduled", "Initialized", "ContainersReady", "Ready", "PodReadyToStartContainers", "PodResizePending",
		"PodResizeInProgress", "AllContainersRestarting",
	}
}

func expressPodConditions(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	list := spec.Pods.Conditions.Allowed
	allowed, _ := pattern.CompileAll(list, len(list), nil)
	return expressConditions(on, list, kubeletPodConditions(), func(old, updated string) string {
		if allowed.Match(string(corev1.DisruptionTarget)) {
			return expression.False
		}
		isTarget := "e.type == " + quote(string(corev1.DisruptionTarget))
		others := expression.And(isTarget, "e.?reason.orValue('') != "+quote(corev1.PodReasonTerminationByKubelet))
		ends := on.Define("endsWithDisruption", expression.And(celEndsPod(on), expression.Exists(updated, "e", isTarget),
			expression.Or(expression.Exists(old, "e", isTarget), expression.Not(expression.Exists(updated, "e", others)))))
		return expression.And("name == "+quote(string(corev1.DisruptionTarget)), ends)
	})
}
