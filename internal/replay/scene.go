// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/policy/object"
)

// scene is a write of a Node or a pod with what is known of the objects.
type scene struct {
	old, updated []part
	hasOld       bool
	gaps         *object.Gaps
	// touched are the parts that may change and whose old value is not known. Everything: any part, except the fixed ones.
	touched    []partName
	everything bool
	// why is the reason for the gaps.
	why Reason
	// exact says that nothing is missing.
	exact bool
}

// hasParts reports whether rules see the object part by part.
func (w *written) hasParts() bool {
	return w.resource == "nodes" || w.resource == "pods" &&
		(w.event.ObjectRef.Subresource == "" || w.event.ObjectRef.Subresource == "status")
}

// isDropped reports whether the API server drops a part from an update of a subresource, or of the resource itself.
func (w *written) isDropped(name partName) bool {
	if w.event.ObjectRef.Subresource == "status" {
		return name.section == "spec"
	}
	return name.section == "status"
}

// touches returns the parts that an update may change, and false if it may change any. At a PUT these are all parts.
func (w *written) touches() ([]part, bool) {
	if w.patch == nil || w.patch.all || w.isMutated() {
		return nil, false
	}
	var touched []part
	for _, p := range w.patch.touched {
		if !p.isFixed() && !w.isDropped(p.partName) {
			touched = append(touched, p)
		}
	}
	return touched, true
}

// requires returns the resourceVersion that an update requires of the stored object, or 0.
func (w *written) requires() uint64 {
	switch {
	case w.patch != nil:
		return number(w.patch.version)
	case w.event.Verb == "update" && w.body != nil:
		return w.body.version
	case w.event.Verb == "update":
		return number(w.event.ObjectRef.ResourceVersion)
	}
	return 0
}

// scene returns what is certain about the write, whatever the log lacks.
func (r *Replay) scene(w *written) *scene {
	s := &scene{gaps: &object.Gaps{}}
	switch w.operation {
	case admissionv1.Create:
		s.create(w)
	case admissionv1.Update:
		r.update(s, w)
	default:
		r.remove(s, w)
	}
	return s
}

// whyNot returns why an answer, or a body, is not known.
func (w *written) whyNot() Reason {
	e := w.event
	switch {
	case e.Stage == "Panic":
		return HasPanicked
	case w.broken:
		return IsUnreadable
	case e.Cut:
		return IsCut
	case w.patch == nil && w.body == nil:
		return NoBody
	case w.isMutated():
		return IsMutated
	case w.patch != nil && w.patch.applies:
		return IsApplied
	}
	return NoAnswer
}

// storedParts returns the parts of an object, without those that the API server alone writes.
func storedParts(o *whole) []part {
	return slices.DeleteFunc(slices.Clone(o.parts), func(p part) bool { return p.isServers() })
}

// create describes a creation. Without the answer, what admission plugins of Kubernetes may have changed is not known.
func (s *scene) create(w *written) {
	s.why = w.whyNot()
	switch {
	case w.answer != nil:
		s.updated = w.answer.parts
		if w.answer.value("metadata", "managedFields") == nil {
			s.gaps.MissNew("metadata", "managedFields")
			s.why = IsStripped
			return
		}
		s.exact = true
	case w.body != nil && !w.isMutated():
		s.updated = slices.DeleteFunc(storedParts(w.body), func(p part) bool { return isOfPlugins(w.resource, p.partName) })
		s.gaps.MissAllValues(func(section, name string) bool {
			n := partName{section, name}
			return !n.isServers() && !isOfPlugins(w.resource, n)
		})
	default:
		if w.key.name != "" {
			name, err := jsontext.AppendQuote(nil, w.key.name)
			if err == nil {
				s.updated = []part{{partName{"metadata", "name"}, name}}
			}
		}
		s.gaps.MissAllValues(func(section, name string) bool {
			return section == "metadata" && name == "name" && w.key.name != ""
		})
	}
}

// isOfPlugins reports whether an admission plugin of Kubernetes may change a part of a created object.
func isOfPlugins(resource string, name partName) bool {
	switch {
	case name.section == "status":
		return resource == "pods" // reset at the creation
	case resource == "nodes":
		return name == partName{"spec", "taints"}
	case name.section == "metadata":
		return name.name == "labels" || name.name == "annotations" || name.name == "uid" || name.name == "generation"
	}
	return name.section == "spec" && name.name != "nodeName" && name.name != "hostNetwork" && name.name != "hostPID" && name.name != "hostIPC"
}

// update describes an update.
func (r *Replay) update(s *scene, w *written) {
	t := r.objects.before(w)
	s.hasOld = true
	if w.answer == nil {
		r.updateUnseen(s, w)
		return
	}
	s.updated = storedParts(w.answer)
	if w.mayOwn() {
		s.missOwnership()
	}
	if t != nil && t.uid == w.answer.uid && t.version != 0 && t.version == w.version && !t.since && !w.dryRun {
		s.old, s.exact = s.updated, true // nothing was changed
		return
	}
	touched, limited := w.touches()
	version := w.requires()
	if w.dryRun {
		version = w.version // its answer has that of the stored object
	}
	if version != 0 && t != nil && t.version == version && t.uid == w.answer.uid && !t.since && !t.all {
		r.updateVersion(s, t)
		return
	}
	s.why = r.whyNoOld(w, t, limited)
	if !limited {
		s.everything = true
		s.old = slices.DeleteFunc(slices.Clone(s.updated), func(p part) bool { return !p.isFixed() })
		s.gaps.MissAllOld(func(section, name string) bool { return partName{section, name}.isFixed() })
		return
	}
	for _, p := range touched {
		s.touched = append(s.touched, p.partName)
		s.gaps.MissOld(p.section, p.name)
	}
	s.old = without(s.updated, s.touched)
	s.exact = len(touched) == 0
}

func ownership() partName { return partName{"metadata", "managedFields"} }

func (s *scene) missOwnership() {
	s.gaps.MissOld("metadata", "managedFields")
	s.gaps.MissNew("metadata", "managedFields")
}

// mayOwn reports whether an update may change metadata.managedFields other than the API server does. Through a subresource only a
// server-side apply can.
func (w *written) mayOwn() bool {
	switch {
	case w.patch != nil && w.patch.applies:
		return true
	case w.event.Verb == "patch" && w.patch == nil:
		return true
	case w.event.ObjectRef.Subresource != "":
		return false
	case w.patch == nil || w.patch.all:
		return true
	}
	return slices.ContainsFunc(w.patch.touched, func(p part) bool { return p.partName == ownership() })
}

// whyNoOld returns why the old value of what an update touches is not known.
func (r *Replay) whyNoOld(w *written, t *tracked, limited bool) Reason {
	switch {
	case w.isMutated():
		return IsMutated
	case w.patch != nil && w.patch.applies:
		return IsApplied
	case w.patch == nil && w.body == nil && w.event.Cut:
		return IsCut
	case w.patch == nil && w.body == nil:
		return NoBody
	case t == nil && r.objects.latest[w.key] == nil && r.objects.seeds[w.key] == nil:
		return IsOlder
	case limited && t != nil && t.all:
		return IsMissing
	}
	return IsMissing
}

// updateVersion describes an update that requires the version of the object that the log has last.
func (r *Replay) updateVersion(s *scene, t *tracked) {
	s.old, s.exact = r.objects.older(t, s.updated, s.gaps), true
	if s.gaps.LacksChanges() {
		s.why, s.exact = IsTooLarge, false
	}
}

// older returns the parts of an object, given those of a later version. A part that differs and is too large to be remembered is a gap.
func (o *objects) older(t *tracked, updated []part, gaps *object.Gaps) []part {
	known := map[partName]memory{}
	for _, m := range o.parts(t) {
		known[m.partName] = m
	}
	var old []part
	for _, p := range updated {
		before, had := known[p.partName]
		delete(known, p.partName)
		switch {
		case !had:
		case before.sum == o.sum(p.value):
			old = append(old, p)
		case before.kept:
			old = append(old, part{p.partName, before.value})
		default:
			gaps.MissOld(p.section, p.name)
		}
	}
	for name, gone := range known {
		if gone.kept {
			old = append(old, part{name, gone.value})
		} else {
			gaps.MissOld(name.section, name.name)
		}
	}
	return old
}

// updateUnseen describes an update whose answer is not known. The parts that no update changes are those of any version of the object.
func (r *Replay) updateUnseen(s *scene, w *written) {
	s.why = w.whyNot()
	touched, limited := w.touches()
	t := (*tracked)(nil)
	if w.patch != nil {
		t = r.objects.identified(w.key, w.patch.uid())
	}
	known := map[partName]bool{}
	if t != nil {
		for _, m := range r.objects.parts(t) {
			if m.kept && isPermanent(m.partName, m.value) {
				s.old = append(s.old, part{m.partName, m.value})
				known[m.partName] = true
			}
		}
	}
	s.updated = slices.Clone(s.old)
	if w.mayOwn() {
		s.missOwnership()
	} else {
		known[ownership()] = true
	}
	if !limited {
		s.everything = true
		s.gaps.MissAllOld(func(section, name string) bool { return known[partName{section, name}] })
	}
	s.gaps.MissAllValues(func(section, name string) bool { return known[partName{section, name}] })
	for _, p := range touched {
		s.touched = append(s.touched, p.partName)
		s.gaps.MissOld(p.section, p.name)
		s.gaps.MissNew(p.section, p.name)
	}
}

// isPermanent reports whether a part keeps its value, as far as rules read it, as long as the object exists.
func isPermanent(name partName, value jsontext.Value) bool {
	if name.isFixed() {
		return name.name != "generation" && name.name != "deletionTimestamp" && name.name != "deletionGracePeriodSeconds"
	}
	if name.section != "spec" {
		return false
	}
	switch name.name {
	case "nodeName":
		return textOf(value) != ""
	case "hostNetwork", "containers", "initContainers":
		return true
	}
	return false
}

// uid returns the UID that the patch requires, as kubelets' patches of pods do.
func (p *patch) uid() string {
	for i := range p.touched {
		if p.touched[i].partName == (partName{"metadata", "uid"}) {
			return textOf(p.touched[i].value)
		}
	}
	return ""
}

// without returns the parts without the named ones.
func without(parts []part, names []partName) []part {
	return slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return slices.Contains(names, p.partName) })
}
