// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import "noderestriction.plus/api/v1alpha1"

func mirrorPods() []comparison {
	type pattern = v1alpha1.Pattern
	return []comparison{
		toggle("mirrorPods.names", func(s *spec) *v1alpha1.MirrorPodNames { return s.MirrorPods.Names }),
		section("mirrorPods.namespaces", func(s *spec) *v1alpha1.MirrorPodNamespaces { return s.MirrorPods.Namespaces },
			allowedPatterns("allowed", func(n *v1alpha1.MirrorPodNamespaces) []pattern { return n.Allowed },
				omission[pattern]{[]pattern{"kube-system"}, "kube-system"})),
		mirrorPodLabels(),
		section("mirrorPods.finalizers", func(s *spec) *v1alpha1.MirrorPodFinalizers { return s.MirrorPods.Finalizers },
			allowedPatterns("allowed", func(f *v1alpha1.MirrorPodFinalizers) []pattern { return f.Allowed }, nothing[pattern]())),
		toggle("mirrorPods.managedFields", func(s *spec) *v1alpha1.MirrorPodManagedFields { return s.MirrorPods.ManagedFields }),
		section("mirrorPods.annotations", func(s *spec) *v1alpha1.MirrorPodAnnotations { return s.MirrorPods.Annotations },
			list[v1alpha1.MirrorPodAnnotations, v1alpha1.KeyValuePattern]{
				"allowed", func(a *v1alpha1.MirrorPodAnnotations) []v1alpha1.KeyValuePattern { return a.Allowed }, pairs(nil), anyPair("any"),
			}.allows()),
		toggle("mirrorPods.references", func(s *spec) *v1alpha1.MirrorPodReferences { return s.MirrorPods.References }),
		toggle("mirrorPods.placement", func(s *spec) *v1alpha1.MirrorPodPlacement { return s.MirrorPods.Placement }),
		section("mirrorPods.priorityClasses", func(s *spec) *v1alpha1.MirrorPodPriorityClasses { return s.MirrorPods.PriorityClasses },
			allowedPatterns("allowed", func(c *v1alpha1.MirrorPodPriorityClasses) []pattern { return c.Allowed },
				omission[pattern]{
					[]pattern{"system-node-critical", "system-cluster-critical"}, "system-node-critical, system-cluster-critical",
				}),
			allowedPatterns("systemNamespaces", func(c *v1alpha1.MirrorPodPriorityClasses) []pattern { return c.SystemNamespaces }, anyPattern())),
		hostAccess(),
		section("mirrorPods.readinessGates", func(s *spec) *v1alpha1.MirrorPodReadinessGates { return s.MirrorPods.ReadinessGates },
			allowedPatterns("allowed", func(g *v1alpha1.MirrorPodReadinessGates) []pattern { return g.Allowed }, nothing[pattern]())),
	}
}

func mirrorPodLabels() comparison {
	type T = v1alpha1.MirrorPodLabels
	type P = v1alpha1.KeyValuePattern
	return section("mirrorPods.labels", func(s *spec) *T { return s.MirrorPods.Labels },
		list[T, P]{
			"allowed", func(l *T) []P { return l.Allowed }, pairs(maybeControllerLabel),
			anyPair("any except those by which controllers own their pods"),
		}.allows(),
		list[T, P]{"denied", func(l *T) []P { return l.Denied }, pairs(nil), nothing[P]()}.denies(),
	)
}

func hostAccess() comparison {
	type T = v1alpha1.MirrorPodHostAccess
	return section("mirrorPods.hostAccess", func(s *spec) *T { return s.MirrorPods.HostAccess },
		access("hostNetwork", func(h *T) v1alpha1.Access { return h.HostNetwork }, v1alpha1.AccessAllow),
		access("hostPID", func(h *T) v1alpha1.Access { return h.HostPID }, v1alpha1.AccessDeny),
		access("hostIPC", func(h *T) v1alpha1.Access { return h.HostIPC }, v1alpha1.AccessDeny),
		access("privileged", func(h *T) v1alpha1.Access { return h.Privileged }, v1alpha1.AccessDeny),
		list[T, string]{
			"hostPathPrefixes", func(h *T) []string { return h.HostPathPrefixes }, directories(), omission[string]{[]string{"/"}, "any"},
		}.allows(),
	)
}

func pods() []comparison {
	type metadata = v1alpha1.PodMetadata
	return []comparison{
		section("pods.metadata", func(s *spec) *metadata { return s.Pods.Metadata },
			list[metadata, v1alpha1.KeyValuePattern]{
				"annotations.allowed", func(m *metadata) []v1alpha1.KeyValuePattern { return orEmpty(m.Annotations).Allowed }, pairs(nil),
				nothing[v1alpha1.KeyValuePattern](),
			}.allows()),
		toggle("pods.managedFields", func(s *spec) *v1alpha1.PodManagedFields { return s.Pods.ManagedFields }),
		toggle("pods.self", func(s *spec) *v1alpha1.PodSelf { return s.Pods.Self }),
		section("pods.conditions", func(s *spec) *v1alpha1.PodConditions { return s.Pods.Conditions },
			allowedPatterns("allowed", func(c *v1alpha1.PodConditions) []v1alpha1.Pattern { return c.Allowed }, nothing[v1alpha1.Pattern]())),
		section("pods.ips", func(s *spec) *v1alpha1.PodIPs { return s.Pods.IPs },
			compareRanges("podIPs", func(i *v1alpha1.PodIPs) *v1alpha1.AddressRanges { return i.PodIPs }),
			compareRanges("hostIPs", func(i *v1alpha1.PodIPs) *v1alpha1.AddressRanges { return i.HostIPs })),
		toggle("pods.phase", func(s *spec) *v1alpha1.PodPhase { return s.Pods.Phase }),
		toggle("pods.containers", func(s *spec) *v1alpha1.PodContainers { return s.Pods.Containers }),
		section("pods.deletion", func(s *spec) *v1alpha1.PodDeletion { return s.Pods.Deletion },
			choice("mode", func(d *v1alpha1.PodDeletion) v1alpha1.PodDeletionMode { return d.Mode },
				v1alpha1.PodDeletionTerminating, v1alpha1.PodDeletionFinished, v1alpha1.PodDeletionTerminating)),
		toggle("pods.eviction", func(s *spec) *v1alpha1.PodEviction { return s.Pods.Eviction }),
		toggle("pods.unknownFields", func(s *spec) *v1alpha1.PodUnknownFields { return s.Pods.UnknownFields }),
		toggle("pods.spec", func(s *spec) *v1alpha1.PodSpec { return s.Pods.Spec }),
		toggle("pods.observedGeneration", func(s *spec) *v1alpha1.PodObservedGeneration { return s.Pods.ObservedGeneration }),
	}
}

// compareRanges compares where addresses of pods must be.
func compareRanges(name string, get func(*v1alpha1.PodIPs) *v1alpha1.AddressRanges) leaf[v1alpha1.PodIPs] {
	type T = v1alpha1.AddressRanges
	leaves := []leaf[T]{
		compareSources,
		compareRangeLists,
		access("ofOtherNodes", func(r *T) v1alpha1.Access { return r.OfOtherNodes }, v1alpha1.AccessAllow),
	}
	return func(old, updated *v1alpha1.PodIPs) []Change {
		var changes []Change
		for _, compare := range leaves {
			for _, c := range compare(orEmpty(get(old)), orEmpty(get(updated))) {
				c.Field = name + "." + c.Field
				changes = append(changes, c)
			}
		}
		return changes
	}
}

// compareSources compares what a Node is asked for. What one says of itself is not known here.
func compareSources(old, updated *v1alpha1.AddressRanges) []Change {
	if old.From == updated.From {
		return nil
	}
	effect := Both
	switch {
	case isAnyAddress(old):
		effect = Narrower
	case isAnyAddress(updated):
		effect = Wider
	}
	const omitted = "the Node is not asked"
	return []Change{{
		Field: "from", Effect: effect,
		Old: []string{valueText(string(old.From), omitted)}, New: []string{valueText(string(updated.From), omitted)},
	}}
}

// isAnyAddress reports whether every address is allowed, as far as ranges are concerned.
func isAnyAddress(r *v1alpha1.AddressRanges) bool { return r.From == "" && len(r.AllowedCIDRs) == 0 }

func compareRangeLists(old, updated *v1alpha1.AddressRanges) []Change {
	changes := list[v1alpha1.AddressRanges, v1alpha1.CIDR]{
		"allowedCIDRs", func(r *v1alpha1.AddressRanges) []v1alpha1.CIDR { return r.AllowedCIDRs }, cidrs(), anyAddress(),
	}.allows()(old, updated)
	for i := range changes {
		// A Node that says nothing allows any address if there is no list, and otherwise nothing more than the list.
		if old.From != "" && updated.From != "" && (len(old.AllowedCIDRs) == 0 || len(updated.AllowedCIDRs) == 0) {
			changes[i].Effect = Both
		}
	}
	return changes
}
