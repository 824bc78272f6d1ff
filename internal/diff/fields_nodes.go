// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"slices"
	"strings"

	"noderestriction.plus/api/v1alpha1"
)

func nodes() []comparison {
	return []comparison{
		toggle("nodes.self", func(s *spec) *v1alpha1.NodeSelf { return s.Nodes.Self }),
		section("nodes.names", func(s *spec) *v1alpha1.NodeNames { return s.Nodes.Names },
			allowedPatterns("allowed", func(n *v1alpha1.NodeNames) []v1alpha1.Pattern { return n.Allowed }, anyPattern())),
		toggle("nodes.directUpdates", func(s *spec) *v1alpha1.NodeDirectUpdates { return s.Nodes.DirectUpdates }),
		nodeLabels(),
		nodeAnnotations(),
		section("nodes.taints", func(s *spec) *v1alpha1.NodeTaints { return s.Nodes.Taints }, compareTaints, compareRequiredTaints,
			list[v1alpha1.NodeTaints, v1alpha1.TaintPattern]{
				"removable", func(t *v1alpha1.NodeTaints) []v1alpha1.TaintPattern { return t.Removable }, taints(), nothing[v1alpha1.TaintPattern](),
			}.allows()),
		section("nodes.finalizers", func(s *spec) *v1alpha1.NodeFinalizers { return s.Nodes.Finalizers },
			allowedPatterns("allowed", func(f *v1alpha1.NodeFinalizers) []v1alpha1.Pattern { return f.Allowed }, nothing[v1alpha1.Pattern]())),
		toggle("nodes.ownerReferences", func(s *spec) *v1alpha1.NodeOwnerReferences { return s.Nodes.OwnerReferences }),
		toggle("nodes.managedFields", func(s *spec) *v1alpha1.NodeManagedFields { return s.Nodes.ManagedFields }),
		section("nodes.unschedulable", func(s *spec) *v1alpha1.NodeUnschedulable { return s.Nodes.Unschedulable },
			choice("changes", func(u *v1alpha1.NodeUnschedulable) v1alpha1.UnschedulableChanges { return u.Changes },
				v1alpha1.UnschedulableNone, v1alpha1.UnschedulableNone, v1alpha1.UnschedulableCordon, v1alpha1.UnschedulableAny)),
		toggle("nodes.podCIDRs", func(s *spec) *v1alpha1.NodePodCIDRs { return s.Nodes.PodCIDRs }),
		section("nodes.providerID", func(s *spec) *v1alpha1.NodeProviderID { return s.Nodes.ProviderID },
			allowedPatterns("allowed", func(p *v1alpha1.NodeProviderID) []v1alpha1.Pattern { return p.Allowed }, anyPattern()),
			access("ofOtherNodes", func(p *v1alpha1.NodeProviderID) v1alpha1.Access { return p.OfOtherNodes }, v1alpha1.AccessAllow)),
		toggle("nodes.otherSpec", func(s *spec) *v1alpha1.NodeOtherSpec { return s.Nodes.OtherSpec }),
	}
}

func nodeLabels() comparison {
	type T = v1alpha1.NodeLabels
	type P = v1alpha1.KeyValuePattern
	registration := func(get func(*v1alpha1.NodeRegistrationLabels) []P) func(*T) []P {
		return func(l *T) []P { return get(orEmpty(l.Registration)) }
	}
	update := func(get func(*v1alpha1.NodeUpdateLabels) []P) func(*T) []P {
		return func(l *T) []P { return get(orEmpty(l.Update)) }
	}
	reserved, free := pairs(maybeReservedLabel), pairs(nil)
	allowedLater := list[T, P]{
		"update.allowed", update(func(u *v1alpha1.NodeUpdateLabels) []P { return u.Allowed }), reserved, nothing[P](),
	}
	return section("nodes.labels", func(s *spec) *T { return s.Nodes.Labels },
		list[T, P]{
			"registration.allowed", registration(func(r *v1alpha1.NodeRegistrationLabels) []P { return r.Allowed }), reserved,
			anyPair("any that is not reserved"),
		}.allows(),
		list[T, P]{
			"registration.denied", registration(func(r *v1alpha1.NodeRegistrationLabels) []P { return r.Denied }), free, nothing[P](),
		}.denies(),
		required("registration.required", registration(func(r *v1alpha1.NodeRegistrationLabels) []P { return r.Required }), free),
		func(old, updated *T) []Change {
			changes := allowedLater.allows()(old, updated)
			if len(orEmpty(old.Registration).Denied)+len(orEmpty(updated.Registration).Denied) == 0 {
				return changes
			}
			for i := range changes { // patterns with an exact key take precedence over registration.denied
				changes[i].Effect |= free.effect(exact(allowedLater.get(old)), exact(allowedLater.get(updated)))
			}
			return changes
		},
		list[T, P]{"update.fixed", update(func(u *v1alpha1.NodeUpdateLabels) []P { return u.Fixed }), free, nothing[P]()}.denies(),
		choice("update.additions", func(l *T) v1alpha1.LabelAdditions { return orEmpty(l.Update).Additions },
			v1alpha1.AdditionsCSI, v1alpha1.AdditionsListed, v1alpha1.AdditionsCSI, v1alpha1.AdditionsAny),
	)
}

// exact returns the patterns without a wildcard in their keys.
func exact(all []v1alpha1.KeyValuePattern) []v1alpha1.KeyValuePattern {
	return slices.DeleteFunc(slices.Clone(all), func(p v1alpha1.KeyValuePattern) bool { return strings.Contains(keyOf(p), "*") })
}

// required compares a list of patterns that must each match something.
func required[T, E any](name string, get func(*T) []E, k kind[E]) leaf[T] {
	differs := list[T, E]{name, get, k, nothing[E]()}.allows()
	return func(old, updated *T) []Change {
		changes := differs(old, updated)
		for i := range changes {
			was, is := get(old), get(updated)
			changes[i].Effect = effectOf(!k.implies(is, was), !k.implies(was, is))
		}
		return changes
	}
}

// implies reports whether what has a match for each pattern of a list has one for each of another list.
func (k kind[E]) implies(list, other []E) bool {
	return !slices.ContainsFunc(other, func(o E) bool { return !slices.ContainsFunc(list, k.covers([]E{o})) })
}

// compareTaints compares the taints with which a kubelet may register: also those that it must have.
func compareTaints(old, updated *v1alpha1.NodeTaints) []Change {
	type E = v1alpha1.TaintPattern
	changes := list[v1alpha1.NodeTaints, E]{
		"allowed", func(t *v1alpha1.NodeTaints) []E { return t.Allowed }, taints(),
		omission[E]{says: "any except node.kubernetes.io/out-of-service"},
	}.allows()(old, updated)
	for i := range changes {
		changes[i].Effect = taintsEffect(old, updated)
	}
	return changes
}

func compareRequiredTaints(old, updated *v1alpha1.NodeTaints) []Change {
	changes := required("required", func(t *v1alpha1.NodeTaints) []v1alpha1.TaintPattern { return t.Required }, taints())(old, updated)
	for i := range changes {
		changes[i].Effect |= taintsEffect(old, updated)
	}
	return changes
}

// taintsEffect returns what changes do to the set of taints that a kubelet may register with.
func taintsEffect(old, updated *v1alpha1.NodeTaints) Effect {
	may := func(t *v1alpha1.NodeTaints) []v1alpha1.TaintPattern {
		allowed := t.Allowed
		if len(allowed) == 0 {
			allowed = []v1alpha1.TaintPattern{{Key: "*"}}
		}
		return slices.Concat(allowed, t.Required)
	}
	return taints().effect(may(old), may(updated))
}

func nodeAnnotations() comparison {
	type T = v1alpha1.NodeAnnotations
	return section("nodes.annotations", func(s *spec) *T { return s.Nodes.Annotations },
		list[T, v1alpha1.KeyValuePattern]{
			"allowed", func(a *T) []v1alpha1.KeyValuePattern { return a.Allowed }, pairs(nil), nothing[v1alpha1.KeyValuePattern](),
		}.allows(),
		list[T, v1alpha1.CIDR]{
			"providedNodeIPCIDRs", func(a *T) []v1alpha1.CIDR { return a.ProvidedNodeIPCIDRs }, cidrs(), anyAddress(),
		}.allows(),
		access("providedNodeIPOfOtherNodes", func(a *T) v1alpha1.Access { return a.ProvidedNodeIPOfOtherNodes }, v1alpha1.AccessAllow),
		most("maxTotalBytes", func(a *T) int32 { return a.MaxTotalBytes }, 65536),
	)
}
