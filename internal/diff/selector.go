// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
)

// compareSelectors compares the labels of the Nodes that a policy restricts: the more Nodes, the narrower.
func compareSelectors(old, updated *v1alpha1.Match) []Change {
	was, is := requirements(old.NodeSelector), requirements(updated.NodeSelector)
	before, after := only(requirementText, was, is), only(requirementText, is, was)
	if len(before)+len(after) == 0 {
		return nil
	}
	c := Change{Field: "nodeSelector", Effect: effectOf(!selects(is, was), !selects(was, is)), Old: before, New: after}
	if len(was) == 0 {
		c.Old = []string{omittedText("labels do not matter")}
	}
	if len(is) == 0 {
		c.New = []string{omittedText("labels do not matter")}
	}
	return []Change{c}
}

type requirement = metav1.LabelSelectorRequirement

// requirements returns all requirements of a selector, sorted.
func requirements(s *metav1.LabelSelector) []requirement {
	s = orEmpty(s)
	all := slices.Clone(s.MatchExpressions)
	for key, value := range s.MatchLabels {
		all = append(all, requirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{value}})
	}
	for i := range all {
		all[i].Values = slices.Sorted(slices.Values(all[i].Values))
	}
	slices.SortFunc(all, func(a, b requirement) int { return strings.Compare(requirementText(a), requirementText(b)) })
	return all
}

// requirementText returns a requirement as kubectl writes it.
func requirementText(r requirement) string {
	switch r.Operator {
	case metav1.LabelSelectorOpExists:
		return r.Key
	case metav1.LabelSelectorOpDoesNotExist:
		return "!" + r.Key
	}
	return r.Key + " " + strings.ToLower(string(r.Operator)) + " (" + strings.Join(r.Values, ",") + ")"
}

// selects reports whether one selector certainly selects every Node that another one selects.
func selects(one, other []requirement) bool {
	return !slices.ContainsFunc(one, func(weak requirement) bool {
		return !slices.ContainsFunc(other, func(strong requirement) bool { return impliesRequirement(strong, weak) })
	})
}

// impliesRequirement reports whether every Node that meets one requirement meets another one.
func impliesRequirement(strong, weak requirement) bool {
	if strong.Key != weak.Key {
		return false
	}
	within := func(values, all []string) bool {
		return !slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(all, v) })
	}
	apart := !slices.ContainsFunc(strong.Values, func(v string) bool { return slices.Contains(weak.Values, v) })
	switch weak.Operator {
	case metav1.LabelSelectorOpIn:
		return strong.Operator == weak.Operator && within(strong.Values, weak.Values)
	case metav1.LabelSelectorOpNotIn: // a Node without the label meets it
		return strong.Operator == weak.Operator && within(weak.Values, strong.Values) ||
			strong.Operator == metav1.LabelSelectorOpIn && apart || strong.Operator == metav1.LabelSelectorOpDoesNotExist
	case metav1.LabelSelectorOpExists:
		return strong.Operator == weak.Operator || strong.Operator == metav1.LabelSelectorOpIn
	}
	return strong.Operator == weak.Operator
}
