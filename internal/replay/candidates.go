// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// covered are the parts in which [evaluation.variants] has an object for each case that makes a difference to a rule. These rules compare
// key by key, or element by element, and refuse a key or an element whatever else the part has. If an old value can only excuse the new
// one, an object that does not have the part covers the rule.
func covered() map[policy.RuleID][]partName {
	status := func(names ...string) []partName {
		var parts []partName
		for _, name := range names {
			parts = append(parts, partName{"status", name})
		}
		return parts
	}
	return map[policy.RuleID][]partName{
		"node-labels":             {{"metadata", "labels"}},
		"node-annotations":        {{"metadata", "annotations"}},
		"node-conditions":         status("conditions"),
		"node-addresses":          status("addresses"),
		"node-capacity":           status("capacity", "allocatable"),
		"node-extended-resources": status("capacity", "allocatable"),
		"node-images":             status("images"),
		"node-volumes":            status("volumesInUse"),
		"node-features":           status("declaredFeatures"),
		"node-kubelet-ports":      status("daemonEndpoints"),
		"node-info":               status("nodeInfo"),
		"pod-conditions":          status("conditions", "phase"),
		"pod-phase":               status("phase", "containerStatuses"),
		"pod-containers":          status("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"),
		"pod-ips":                 status("podIP", "podIPs", "hostIP", "hostIPs"),
		"pod-observed-generation": status("observedGeneration", "conditions"),
	}
}

// maxCandidates bounds how many stored objects are tried for a rule.
const maxCandidates = 96

// whatever evaluates units on every object that could have stood there, as far as that makes a difference, and returns the units without
// a verdict. Only that there is no violation can be certain in this way: what was stored may also have been equal to what was written.
func (j *evaluation) whatever(pending []*unit) []*unit {
	if len(pending) == 0 || j.scene.everything || len(j.scene.touched) == 0 || j.w.patch == nil || j.w.patch.isList {
		return pending
	}
	rules := covered()
	return slices.DeleteFunc(slices.Clone(pending), func(u *unit) bool {
		parts, is := rules[u.rule]
		switch {
		case !is,
			u.hasValues && (u.rule == "node-labels" || u.rule == "node-annotations"),
			u.rule == "node-annotations" && j.w.answer == nil: // it compares the size of all annotations
			return false
		}
		return j.passesWhatever(u, parts)
	})
}

// passesWhatever reports whether a unit has no violation whatever stood in the parts of its rule that the write touches.
func (j *evaluation) passesWhatever(u *unit, parts []partName) bool {
	combinations := [][]part{nil}
	free := j.scene.touched
	for _, n := range j.scene.touched {
		if !slices.Contains(parts, n) {
			continue
		}
		all, ok := j.variants(n)
		if !ok || len(combinations)*len(all) > maxCandidates {
			return false
		}
		free = slices.DeleteFunc(slices.Clone(free), func(other partName) bool { return other == n })
		var more [][]part
		for _, before := range combinations {
			for _, v := range all {
				if v.value == nil {
					more = append(more, before)
				} else {
					more = append(more, append(slices.Clone(before), v))
				}
			}
		}
		combinations = more
	}
	if len(free) == len(j.scene.touched) {
		return false
	}
	for _, before := range combinations {
		if !j.passes(u, before, free) {
			return false
		}
	}
	return true
}

// passes reports whether a unit has no violation with these values before the write, for each kind of patch. The touched parts in free are
// not known.
func (j *evaluation) passes(u *unit, before []part, free []partName) bool {
	gaps := &object.Gaps{}
	for _, n := range free {
		gaps.MissOld(n.section, n.name)
		if j.w.answer == nil {
			gaps.MissNew(n.section, n.name)
		}
	}
	varied := func(n partName) bool { return slices.Contains(j.scene.touched, n) && !slices.Contains(free, n) }
	if j.w.answer == nil {
		gaps.MissAllValues(func(section, name string) bool {
			n := partName{section, name}
			return varied(n) || slices.ContainsFunc(j.scene.old, func(p part) bool { return p.partName == n })
		})
	}
	r := j.out.Request
	old := slices.Concat(j.scene.old, before)
	if j.w.answer != nil {
		r.OldObject, r.Gaps = compose(old), gaps
		r.OldParts = partsOf(r.OldObject)
		found, known := j.evaluateUnit(u, &r)
		return known && len(found) == 0
	}
	for _, kind := range j.w.patch.kinds() {
		result, err := j.w.patch.apply(kind, j.w.resource, before)
		if err != nil {
			return false
		}
		updated := slices.Clone(j.scene.old)
		for _, n := range j.scene.touched {
			if value := result.value(n.section, n.name); varied(n) && canonical(value) != nil {
				updated = append(updated, part{n, value})
			}
		}
		j.set(&r, old, updated, gaps)
		if found, known := j.evaluateUnit(u, &r); !known || len(found) > 0 {
			return false
		}
	}
	return true
}
