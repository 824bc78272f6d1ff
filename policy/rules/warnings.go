// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// warnOfLabels warns about a nodeSelector on labels that a kubelet may set itself, and about denied labels that every kubelet computes.
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
	if labels == nil || labels.Registration == nil {
		return warnings
	}
	for i, denied := range labels.Registration.Denied {
		if isComputedLabel(string(denied)) && len(warnings) < policy.MaxWarnings {
			warnings = append(warnings, fmt.Sprintf("%s: %s has no effect, because every kubelet computes this label",
				at.Child("nodes", "labels", "registration", "denied").Index(i), text.Quote(string(denied))))
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
