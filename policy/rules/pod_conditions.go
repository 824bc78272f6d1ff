// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func podConditions() policy.Rule {
	return policy.Rule{
		ID: "pod-conditions",
		Doc: policy.Doc{
			Title: "A kubelet may write only its own conditions of pods",
			Text: "Readiness gates are conditions that load balancers and others set. A kubelet that sets them puts a " +
				"pod into traffic before it is healthy, or holds up a rollout.",
			Kubelet: "A kubelet writes PodScheduled, Initialized, ContainersReady, Ready, PodReadyToStartContainers, " +
				"PodResizePending, PodResizeInProgress, AllContainersRestarting and DisruptionTarget.",
			Attack: "curl -X PATCH -H 'Content-Type: application/strategic-merge-patch+json' .../pods/$POD/status -d " +
				`'{"status":{"conditions":[{"type":"example.com/gate","status":"True"}]}}'`,
			Spec:   "spec.pods.conditions",
			Fields: []string{"status.conditions"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/types/pod_status.go",
		},
		Targets: podStatusWrites(),
		Compile: compilePodConditions,
		CEL:     exactly(expressPodConditions),
	}
}

func compilePodConditions(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Pods.Conditions
	if cfg == nil {
		return nil, nil
	}
	allowed, errs := pattern.CompileAll(cfg.Allowed, 64, at.Child("pods", "conditions", "allowed"))
	mayWrite := func(t string) bool { return isKubeletPodCondition(t) || allowed.Match(t) }
	return func(r *policy.Request) []policy.Violation {
		old, updated := r.Pod().Conditions().Change()
		changes := compareConditions(old, updated, mayWrite)
		return changes.violations("status.conditions")
	}, errs
}

func isKubeletPodCondition(t string) bool { return slices.Contains(kubeletPodConditions(), t) }

func kubeletPodConditions() []string {
	return []string{
		"PodScheduled", "Initialized", "ContainersReady", "Ready", "PodReadyToStartContainers", "PodResizePending",
		"PodResizeInProgress", "AllContainersRestarting", "DisruptionTarget",
	}
}

func expressPodConditions(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	return expressConditions(on, spec.Pods.Conditions.Allowed, kubeletPodConditions())
}
