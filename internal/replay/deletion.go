// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// remove describes a deletion. The answer has the object as it was, except for what a deletion changes.
func (r *Replay) remove(s *scene, w *written) {
	s.hasOld = true
	if w.event.Verb == "deletecollection" {
		s.why, s.everything = NoBody, true
		s.gaps.MissAllOld(func(string, string) bool { return false })
		s.gaps.MissOptions()
		return
	}
	uid := ""
	if w.answer != nil {
		uid = w.answer.uid
		s.old = slices.DeleteFunc(storedParts(w.answer), func(p part) bool { return isOfDeletion(p.partName) })
	} else if options := w.event.RequestObject; len(options) > 0 {
		uid = textMember(member(options, "preconditions"), "uid")
	}
	if w.lacksOptions() {
		s.gaps.MissOptions()
	}
	t := r.objects.identified(w.key, uid)
	known := map[partName]bool{}
	for i := range s.old {
		known[s.old[i].partName] = true
	}
	if w.answer == nil && t != nil {
		for _, m := range r.objects.parts(t) {
			if m.kept && isPermanent(m.partName, m.value) {
				s.old = append(s.old, part{m.partName, m.value})
				known[m.partName] = true
			}
		}
	}
	if t != nil && r.wasDeleted(w, t) {
		s.old = append(s.old, part{partName{"metadata", "deletionTimestamp"}, jsontext.Value(`"2000-01-01T00:00:00Z"`)})
		known[partName{"metadata", "deletionTimestamp"}] = true
	}
	s.gaps.MissAllOld(func(section, name string) bool {
		n := partName{section, name}
		return known[n] || w.answer != nil && !isOfDeletion(n) && !n.isServers()
	})
	switch {
	case w.answer == nil && w.event.Cut:
		s.why = IsCut
	case r.objects.before(w) == nil:
		s.why = IsOlder
	default:
		s.why = IsMissing
	}
}

// wasDeleted reports whether somebody has certainly asked for the deletion of the object before a write.
func (r *Replay) wasDeleted(w *written, t *tracked) bool {
	late := func(at time.Time) bool { return !at.IsZero() && w.from.Sub(at) > r.objects.skew }
	return late(t.deleted) || t.deleting && (w.version > t.version || late(t.at))
}

// lacksOptions reports whether the options of a deletion are not known. At level Request a deletion without a body has none.
func (w *written) lacksOptions() bool {
	e := w.event
	return len(e.RequestObject) == 0 && (e.Level == "Metadata" || e.Level == "" || e.Cut)
}

// isOfDeletion reports whether a deletion changes a part.
func isOfDeletion(name partName) bool {
	switch name {
	case partName{"metadata", "deletionTimestamp"}, partName{"metadata", "deletionGracePeriodSeconds"}, partName{"metadata", "generation"}:
		return true
	}
	return false
}
