// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"slices"
	"strings"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// Write is a kind of write. Its subresource may be [policy.AnySubresource], for those that no other kind has.
type Write struct{ Resource, Subresource, Operation string }

// String returns a name such as nodes-status-update, which no other kind of write has.
func (w Write) String() string {
	parts := []string{strings.Split(w.Resource, ".")[0]}
	switch w.Subresource {
	case "":
	case policy.AnySubresource:
		parts = append(parts, "other")
	default:
		parts = append(parts, w.Subresource)
	}
	if strings.HasPrefix(w.Resource, "events.events") {
		parts[0] = "new-events"
	}
	return strings.Join(append(parts, strings.ToLower(w.Operation)), "-")
}

// Is says that a request is a write of this kind. Of any subresource, those of the other kinds are left out.
func (w Write) Is(others []Write) string {
	resource, group, _ := strings.Cut(w.Resource, ".")
	parts := []string{"request.resource.resource == " + expression.Quote(resource)}
	if resource == "events" {
		parts = append(parts, "request.resource.group == "+expression.Quote(group))
	}
	const subresource = "request.?subResource.orValue('')"
	if w.Subresource == policy.AnySubresource {
		parts = append(parts, expression.Not(expression.In(subresource, w.named(others)...)))
	} else {
		parts = append(parts, subresource+" == "+expression.Quote(w.Subresource))
	}
	return expression.And(append(parts, "request.operation == "+expression.Quote(w.Operation))...)
}

// named returns the subresources of the other kinds of writes of the same resource and operation, and none.
func (w Write) named(others []Write) []string {
	named := []string{""} // pods/* is also pods
	for _, other := range others {
		if other.Resource == w.Resource && other.Operation == w.Operation && other.Subresource != "" && other != w {
			named = append(named, other.Subresource)
		}
	}
	return named
}

// WritesOf returns the kinds of writes by kubelets that rules evaluate, in their order, nodes first.
func WritesOf(rules []policy.Rule) []Write {
	return writesUnder(rules, &v1alpha1.NodeRestrictionPolicySpec{})
}

// writesUnder returns the kinds of writes that rules evaluate under a spec, by kubelets or by node agents, in the order of [WritesOf].
func writesUnder(rules []policy.Rule, spec *v1alpha1.NodeRestrictionPolicySpec) []Write {
	var writes []Write
	for i := range rules {
		for _, t := range rules[i].TargetsUnder(spec) {
			for _, operation := range t.Operations {
				for _, subresource := range subresources(t) {
					if w := (Write{t.Resource, subresource, string(operation)}); !slices.Contains(writes, w) {
						writes = append(writes, w)
					}
				}
			}
		}
	}
	first := func(w Write) int { return max(slices.Index([]string{"pods", "nodes"}, w.Resource), -1) }
	slices.SortStableFunc(writes, func(a, b Write) int { return cmp.Compare(first(b), first(a)) })
	return writes
}

// subresources returns the subresources of a target: of any subresource also those that a rule distinguishes.
func subresources(t policy.Target) []string {
	switch {
	case t.Subresource != policy.AnySubresource:
		return []string{t.Subresource}
	case t.Resource == "pods":
		return []string{"status", "eviction", policy.AnySubresource}
	}
	return []string{"status", policy.AnySubresource}
}

// isOf reports whether the kind of write is one of a target's.
func (w Write) isOf(t policy.Target) bool {
	return t.Resource == w.Resource && slices.ContainsFunc(t.Operations, w.hasOperation) &&
		(t.Subresource == w.Subresource || t.Subresource == policy.AnySubresource && w.Subresource != "")
}

func (w Write) hasOperation(operation operation) bool { return string(operation) == w.Operation }

// Registration is the kind of write with which a kubelet registers its Node. It must never end in an error: the API server itself denies
// it, by the floor.
func Registration() Write { return Write{"nodes", "", expression.Create} }
