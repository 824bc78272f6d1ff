// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"slices"
	"strings"

	"noderestriction.plus/api/v1alpha1"
)

// subjects compares which node agents a policy is for.
func subjects() comparison {
	type T = v1alpha1.Subjects
	leaves := []leaf[T]{
		list[T, v1alpha1.ServiceAccount]{
			"serviceAccounts", func(s *T) []v1alpha1.ServiceAccount { return s.ServiceAccounts }, accounts(), nothing[v1alpha1.ServiceAccount](),
		}.denies(),
		list[T, v1alpha1.UsernamePrefix]{
			"usernamePrefixes", func(s *T) []v1alpha1.UsernamePrefix { return s.UsernamePrefixes }, prefixes(), nothing[v1alpha1.UsernamePrefix](),
		}.denies(),
		access("withoutNode", func(s *T) v1alpha1.Access { return s.WithoutNode }, v1alpha1.AccessDeny),
	}
	return func(old, updated *spec) []Change {
		who := func(s *T) []string {
			if s == nil {
				return []string{"kubelets"}
			}
			return []string{"node agents"}
		}
		switch was, is := old.Subjects, updated.Subjects; {
		case was == nil && is == nil:
			return nil
		case was == nil || is == nil: // the policy is for others
			return []Change{{Field: "spec.subjects", Effect: Both, Old: who(was), New: who(is)}}
		default:
			return below("subjects", was, is, leaves)
		}
	}
}

func accounts() kind[v1alpha1.ServiceAccount] {
	return kind[v1alpha1.ServiceAccount]{
		text: func(a v1alpha1.ServiceAccount) string { return a.Namespace + "/" + a.Name },
		covers: func(all []v1alpha1.ServiceAccount) func(v1alpha1.ServiceAccount) bool {
			return func(a v1alpha1.ServiceAccount) bool { return slices.Contains(all, a) }
		},
	}
}

func prefixes() kind[v1alpha1.UsernamePrefix] {
	return kind[v1alpha1.UsernamePrefix]{
		text: func(p v1alpha1.UsernamePrefix) string { return string(p) },
		covers: func(all []v1alpha1.UsernamePrefix) func(v1alpha1.UsernamePrefix) bool {
			return func(p v1alpha1.UsernamePrefix) bool {
				return slices.ContainsFunc(all, func(q v1alpha1.UsernamePrefix) bool { return strings.HasPrefix(string(p), string(q)) })
			}
		},
	}
}

// compareObjects compares the objects that node agents are bound to.
func compareObjects(old, updated *spec) []Change {
	type E = v1alpha1.ObjectsOfNode
	changes := list[spec, E]{
		"spec.objects", func(s *spec) []E { return s.Objects }, kind[E]{
			text: func(o E) string { return strings.TrimSuffix(o.Resource+"."+o.APIGroup, ".") + ": " + o.Node },
			covers: func(all []E) func(E) bool {
				return func(o E) bool { return slices.Contains(all, o) }
			},
		}, nothing[E](),
	}.denies()(old, updated)
	return changes
}

// ofAgents corrects the changes of fields whose omission means something else for node agents: nothing is built in for them.
func ofAgents(changes []Change) []Change {
	for i := range changes {
		c := &changes[i]
		if c.Field != "spec.nodes.addresses.allowedTypes" && !strings.HasPrefix(c.Field, "spec.nodes.capacity.max") {
			continue
		}
		isOmitted := func(values []string) bool {
			return slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, omittedText("")) })
		}
		switch {
		case isOmitted(c.Old):
			c.Effect, c.Old = Wider, []string{omittedText("none")}
		case isOmitted(c.New):
			c.Effect, c.New = Narrower, []string{omittedText("none")}
		}
	}
	return changes
}
