// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/pattern"
)

// warnOfLabels warns about a nodeSelector on labels by which a kubelet can take itself out of the policy, of patterns that match no
// label, and of denied labels that every kubelet computes.
func warnOfLabels(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) []string {
	var warnings []string
	for _, key := range selfSetLabels(spec.Match) {
		if len(warnings) == policy.MaxWarnings {
			return warnings
		}
		warnings = append(warnings, fmt.Sprintf(
			"%s: a kubelet may set label %s itself and so choose whether this policy holds for it; "+
				"prefer a label under node-restriction.kubernetes.io/", at.Child("match", "nodeSelector"), text.Quote(key)))
	}
	labels := spec.Nodes.Labels
	if labels == nil {
		return warnings
	}
	at = at.Child("nodes", "labels")
	if labels.Update != nil {
		warnings = append(warnings, warnUnreachable(labels.Update.Allowed, pattern.Labels(), at.Child("update", "allowed"))...)
		warnings = append(warnings, warnOfFixed(labels.Update, at.Child("update"))...)
	}
	if labels.Registration == nil {
		return warnings
	}
	return append(warnings, warnOfRegistration(labels.Registration, at.Child("registration"))...)
}

func warnOfRegistration(cfg *v1alpha1.NodeRegistrationLabels, at *field.Path) []string {
	warnings := warnUnreachable(cfg.Allowed, pattern.Labels(), at.Child("allowed"))
	warnings = append(warnings, warnCovered(cfg.Allowed, cfg.Denied, "label beyond those that every kubelet computes", at)...)
	if len(cfg.Allowed) > 0 && !slices.ContainsFunc(cfg.Allowed, func(p v1alpha1.KeyValuePattern) bool { return !isReservedPattern(p) }) {
		warnings = append(warnings, at.Child("allowed").String()+": the NodeRestriction plugin, where it is on, refuses all of these labels, "+
			"and this policy refuses all others")
	}
	return append(warnings, warnComputed(cfg.Denied, at.Child("denied"))...)
}

// warnOfFixed warns of fixed labels that every kubelet computes, and if all labels that are allowed are also fixed.
func warnOfFixed(cfg *v1alpha1.NodeUpdateLabels, at *field.Path) []string {
	warnings := warnComputed(cfg.Fixed, at.Child("fixed"))
	ps, errs := pattern.CompileKeyValues(cfg.Fixed, len(cfg.Fixed), at)
	if len(errs) > 0 || len(cfg.Allowed) == 0 ||
		slices.ContainsFunc(cfg.Allowed, func(p v1alpha1.KeyValuePattern) bool { return !ps.Covers(p) }) {
		return warnings
	}
	return append(warnings, at.Child("allowed").String()+": all of it is fixed, so it allows nothing")
}

// warnComputed warns of patterns in a list of refused labels that name a label which every kubelet computes.
func warnComputed(refused []v1alpha1.KeyValuePattern, at *field.Path) []string {
	var warnings []string
	for i, p := range refused {
		if key, _, _ := strings.Cut(string(p), "="); isComputedLabel(key) && len(warnings) < policy.MaxWarnings {
			warnings = append(warnings, fmt.Sprintf("%s: %s has no effect, because every kubelet computes this label",
				at.Index(i), text.Quote(string(p))))
		}
	}
	return warnings
}

// selfSetLabels returns the keys of a selector that the NodeRestriction plugin allows a kubelet to set, sorted.
func selfSetLabels(m *v1alpha1.Match) []string {
	if m == nil || m.NodeSelector == nil {
		return nil
	}
	var keys []string
	for key := range m.NodeSelector.MatchLabels {
		keys = append(keys, key)
	}
	for _, e := range m.NodeSelector.MatchExpressions {
		keys = append(keys, e.Key)
	}
	slices.Sort(keys)
	return without(slices.Compact(keys), isReservedLabel)
}
