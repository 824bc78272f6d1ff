// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"slices"

	"noderestriction.plus/api/v1alpha1"
)

// fields compares every field of a policy, in the order of the API.
func fields() []comparison {
	return slices.Concat(
		[]comparison{compareActions, subjects(), match(), baseline()},
		nodes(), nodeStatus(), mirrorPods(), pods(), others(),
	)
}

// compareActions compares whether the policy denies. What else it does with a write that violates it does not refuse the write.
func compareActions(old, updated *spec) []Change {
	text := func(actions []v1alpha1.ValidationAction) []string {
		var all []string
		for _, a := range actions {
			all = append(all, string(a))
		}
		return all
	}
	was, is := text(old.ValidationActions), text(updated.ValidationActions)
	if len(only(equal[string]().text, was, is))+len(only(equal[string]().text, is, was)) == 0 {
		return nil
	}
	return []Change{{
		Field: "spec.validationActions", Effect: effectOf(denies(old) && !denies(updated), !denies(old) && denies(updated)), Old: was, New: is,
	}}
}

// denies reports whether a policy denies what violates it.
func denies(s *spec) bool { return slices.Contains(s.ValidationActions, v1alpha1.Deny) }

func match() comparison {
	type T = v1alpha1.Match
	return part("match", func(s *spec) *T { return s.Match },
		list[T, v1alpha1.Pattern]{"nodeNames", func(m *T) []v1alpha1.Pattern { return m.NodeNames }, patterns(), anyPattern()}.denies(),
		list[T, v1alpha1.Pattern]{
			"excludeNodeNames", func(m *T) []v1alpha1.Pattern { return m.ExcludeNodeNames }, patterns(), nothing[v1alpha1.Pattern](),
		}.allows(),
		compareSelectors,
	)
}

func baseline() comparison {
	type T = v1alpha1.Baseline
	return section("baseline", func(s *spec) *T { return s.Baseline },
		list[T, v1alpha1.BaselineResource]{
			"resources", func(b *T) []v1alpha1.BaselineResource { return b.Resources }, equal[v1alpha1.BaselineResource](),
			omission[v1alpha1.BaselineResource]{[]v1alpha1.BaselineResource{v1alpha1.BaselineNodes, v1alpha1.BaselinePods}, "nodes, pods"},
		}.denies(),
		incomparable("apiAudiences", func(b *T) []string { return b.APIAudiences }, "those of the program's own token"),
	)
}

// incomparable compares a list about which nothing more can be said than that it has changed.
func incomparable[T any](name string, get func(*T) []string, omitted string) leaf[T] {
	compare := list[T, string]{name, get, equal[string](), omission[string]{says: omitted}}.allows()
	return func(old, updated *T) []Change {
		changes := compare(old, updated)
		for i := range changes {
			changes[i].Effect = Both
		}
		return changes
	}
}

// What omitted lists stand for.

func nothing[E any]() omission[E] { return omission[E]{says: "none"} }

func anyPattern() omission[v1alpha1.Pattern] {
	return omission[v1alpha1.Pattern]{[]v1alpha1.Pattern{"*"}, "any"}
}

func anyPair(says string) omission[v1alpha1.KeyValuePattern] {
	return omission[v1alpha1.KeyValuePattern]{[]v1alpha1.KeyValuePattern{"*"}, says}
}

func anyAddress() omission[v1alpha1.CIDR] {
	return omission[v1alpha1.CIDR]{[]v1alpha1.CIDR{"0.0.0.0/0", "::/0"}, "any"}
}

// toggle compares a section without fields.
func toggle[T any](name string, get func(*spec) *T) comparison { return section(name, get) }

// access compares whether something is allowed.
func access[T any](name string, get func(*T) v1alpha1.Access, omitted v1alpha1.Access) leaf[T] {
	return choice(name, get, omitted, v1alpha1.AccessDeny, v1alpha1.AccessAllow)
}

// allowedPatterns compares patterns on what is allowed in addition to what always is.
func allowedPatterns[T any](name string, get func(*T) []v1alpha1.Pattern, omitted omission[v1alpha1.Pattern]) leaf[T] {
	return list[T, v1alpha1.Pattern]{name, get, patterns(), omitted}.allows()
}

func others() []comparison {
	type tokens = v1alpha1.ServiceAccountTokens
	return []comparison{
		section("serviceAccountTokens", func(s *spec) *tokens { return s.ServiceAccountTokens },
			most("maxExpirationSeconds", func(t *tokens) int64 { return t.MaxExpirationSeconds }, 86400),
			list[tokens, v1alpha1.Pattern]{
				"denied", func(t *tokens) []v1alpha1.Pattern { return t.Denied }, patterns(), nothing[v1alpha1.Pattern](),
			}.denies(),
		),
		toggle("csiNodes", func(s *spec) *v1alpha1.CSINodes { return s.CSINodes }),
		toggle("resourceSlices", func(s *spec) *v1alpha1.ResourceSlices { return s.ResourceSlices }),
		toggle("lockdown", func(s *spec) *v1alpha1.Lockdown { return s.Lockdown }),
		toggle("events", func(s *spec) *v1alpha1.Events { return s.Events }),
		compareObjects,
	}
}
