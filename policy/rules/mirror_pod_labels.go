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

func mirrorPodLabels() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-labels",
		Doc: policy.Doc{
			Title: "A mirror pod may carry only the labels that a policy allows",
			Text: "Labels make a pod an endpoint of a Service, the subject of a network policy, or one of a controller's own. " +
				"With a Service's label on a mirror pod, a kubelet receives the Service's traffic; with a controller's label " +
				"it has real replicas deleted in its place.",
			Kubelet: "A kubelet copies the labels of the static pod's manifest; the API server adds the topology labels of " +
				"the Node.",
			Attack: `kubectl --kubeconfig kubelet.conf create -f mirror-pod-labelled-app-payments.yaml`,
			Spec:   "spec.mirrorPods.labels",
			Fields: []string{"metadata.labels"},
			Since:  "v0.1.0",
			Source: "KEP-1314; kubernetes v1.37.2 plugin/pkg/admission/podtopologylabels",
		},
		Targets: podCreations(),
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Warn:    warnOfMirrorPodLabels,
		Compile: compileMirrorPodLabels,
		CEL:     stock(expressMirrorPodLabels),
	}
}

func compileMirrorPodLabels(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.MirrorPods.Labels
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("mirrorPods", "labels")
	allowed, errs := pattern.CompileKeyValues(cfg.Allowed, 128, at.Child("allowed"))
	denied, bad := pattern.CompileKeyValues(cfg.Denied, 128, at.Child("denied"))
	errs = append(errs, bad...)
	errs = append(errs, checkReachable(cfg.Denied, 128, pattern.Labels(), at.Child("denied"))...)
	listed := len(cfg.Allowed) > 0
	mayHave := func(key, value string) bool {
		switch {
		case isTopologyLabel(key):
			return true
		case denied.Match(key, value):
			return false
		case isControllerLabel(key):
			return allowed.MatchNamed(key, value)
		}
		return !listed || allowed.Match(key, value)
	}
	valueMatters := func(key string) bool { return allowed.ValueMatters(key) || denied.ValueMatters(key) }
	return func(r *policy.Request) []policy.Violation {
		refused := comparePairs(nil, r.Pod().Labels().New()).except(mayHave, valueMatters)
		return appendViolation(nil, "metadata.labels", "must not have", refused.added)
	}, errs
}

// isTopologyLabel reports whether the API server copies the label from the Node to each pod bound to it.
func isTopologyLabel(key string) bool { return slices.Contains(topologyLabels(), key) }

func topologyLabels() []string {
	return []string{"topology.kubernetes.io/zone", "topology.kubernetes.io/region"}
}

func warnOfMirrorPodLabels(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) []string {
	cfg := spec.MirrorPods.Labels
	if cfg == nil {
		return nil
	}
	at = at.Child("mirrorPods", "labels")
	warnings := warnUnreachable(cfg.Allowed, pattern.Labels(), at.Child("allowed"))
	return append(warnings, warnCovered(cfg.Allowed, cfg.Denied, "label", at)...)
}

func expressMirrorPodLabels(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.MirrorPods.Labels
	labels := on.New("metadata.labels", "{}")
	refused := func(key, value string) string {
		free := expression.True
		if len(cfg.Allowed) > 0 {
			free = expression.MatchesPair(key, value, cfg.Allowed)
		}
		return expression.Not(expression.Or(
			expression.In(key, topologyLabels()...),
			expression.And(
				expression.Not(expression.MatchesPair(key, value, cfg.Denied)),
				expression.If(expression.In(key, controllerLabels()...),
					expression.MatchesPair(key, value, expression.Named(cfg.Allowed)), free))))
	}
	return []expression.Expression{named("metadata.labels", "must not have", on.AddedPairs("{}", labels, refused))}
}
