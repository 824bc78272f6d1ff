// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// previous is the write with the object as the log has it last.
type previous struct {
	old, updated []part
	gaps         *object.Gaps
	why          Reason // of the gaps
	// unchecked says that nothing shows whether the object fits the write.
	unchecked bool
}

// fits compares what stood before, as the log has it last, with the answer to an update. It reports whether they are of the same object,
// and whether the parts that the update does not touch are equal, as far as they are known.
func (o *objects) fits(w *written, t *tracked) (sameObject, equal bool) {
	touched, limited := w.touches()
	if w.answer == nil || t == nil || t.uid != w.answer.uid || w.operation != admissionv1.Update || !limited || t.all {
		return false, false
	}
	known := map[partName]uint64{}
	for _, m := range o.parts(t) {
		known[m.partName] = m.sum
	}
	skips := func(n partName) bool {
		return n.isFixed() || slices.ContainsFunc(touched, func(p part) bool { return p.partName == n })
	}
	for i := range w.answer.parts {
		p := &w.answer.parts[i]
		if skips(p.partName) || o.isLost(t, p.partName) {
			continue
		}
		if sum, had := known[p.partName]; !had || sum != o.sum(p.value) {
			return true, false
		}
		delete(known, p.partName)
	}
	for n := range known {
		if !skips(n) && !o.isLost(t, n) {
			return true, false
		}
	}
	return true, true
}

// last returns the write with the object as the log has it last, or nil if that cannot have stood before the write.
func (j *evaluation) last() *previous {
	t := j.replay.objects.before(j.w)
	switch {
	case j.scene.exact, t == nil, t.all:
		return nil
	case j.w.version == 0 && !j.replay.isNext(j.w, t), j.w.version != 0 && j.replay.order.hasTwin(j.w):
		return nil
	}
	switch {
	case j.w.operation == admissionv1.Delete:
		return j.lastDeleted(t)
	case j.w.operation != admissionv1.Update:
		return nil
	case j.scene.everything:
		return j.lastWhole(t)
	case j.w.answer == nil:
		return j.lastUnseen(t)
	}
	if same, equal := j.replay.objects.fits(j.w, t); !same || !equal {
		return nil
	}
	return j.lastUpdated(t)
}

// lastWhole takes the object from what the log has last. What the update touches is not known, so that nothing shows whether it fits.
func (j *evaluation) lastWhole(t *tracked) *previous {
	if j.w.answer == nil || j.w.answer.uid != t.uid || t.since || len(t.lost) > 0 {
		return nil
	}
	p := &previous{updated: j.scene.updated, gaps: &object.Gaps{}, why: IsTooLarge, unchecked: true}
	if j.w.mayOwn() {
		p.gaps.MissOld("metadata", "managedFields")
		p.gaps.MissNew("metadata", "managedFields")
	}
	p.old = j.replay.objects.older(t, j.scene.updated, p.gaps)
	return p
}

// isNext reports whether a write whose answer is not known certainly came after what the log has last, and before what it has next.
func (r *Replay) isNext(w *written, t *tracked) bool {
	return w.from.Sub(t.at) > r.objects.skew && !r.order.hasNear(w)
}

// touchedParts returns the parts that an update touches as the log has them last, and the names of those that are known, also of those that
// the object does not have. A part that is too large to be remembered, or that may have changed since, is a gap.
func (j *evaluation) touchedParts(t *tracked, p *previous) (old []part, kept []partName) {
	o := j.replay.objects
	known := map[partName]memory{}
	for _, m := range o.parts(t) {
		known[m.partName] = m
	}
	for _, n := range j.scene.touched {
		m, had := known[n]
		switch {
		case o.isLost(t, n):
			p.why = NoAnswer
			p.gaps.MissOld(n.section, n.name)
		case had && !m.kept:
			p.why = IsTooLarge
			p.gaps.MissOld(n.section, n.name)
		case had:
			old, kept = append(old, part{n, m.value}), append(kept, n)
		default:
			kept = append(kept, n)
		}
	}
	return old, kept
}

// lastUpdated takes the touched parts from what the log has last, if the patch makes of them what the answer has.
func (j *evaluation) lastUpdated(t *tracked) *previous {
	p := &previous{updated: j.scene.updated, gaps: &object.Gaps{}}
	if j.w.mayOwn() {
		p.gaps.MissOld("metadata", "managedFields")
		p.gaps.MissNew("metadata", "managedFields")
	}
	before, kept := j.touchedParts(t, p)
	if !slices.ContainsFunc(j.w.patch.kinds(), func(kind kindOfPatch) bool { return j.makes(kind, before, kept) }) {
		return nil
	}
	p.old = slices.Concat(j.scene.old, before)
	return p
}

// makes reports whether a patch of a kind makes of parts what the answer has, in the named parts.
func (j *evaluation) makes(kind kindOfPatch, before []part, kept []partName) bool {
	result, err := j.w.patch.apply(kind, j.w.resource, before)
	if err != nil {
		return false
	}
	for _, n := range kept {
		if !same(result.value(n.section, n.name), j.w.answer.value(n.section, n.name)) {
			return false
		}
	}
	return true
}

// lastUnseen takes the object from what the log has last, and patches it. The answer is not known.
func (j *evaluation) lastUnseen(t *tracked) *previous {
	if j.w.patch == nil || uidDiffers(j.w.patch.uid(), t.uid) {
		return nil
	}
	p := &previous{gaps: &object.Gaps{}, why: NoAnswer}
	o := j.replay.objects
	var rest []part
	known := map[partName]bool{}
	for _, m := range o.parts(t) {
		if slices.Contains(j.scene.touched, m.partName) {
			continue
		}
		if m.kept {
			rest = append(rest, part{m.partName, m.value})
			known[m.partName] = true
			continue
		}
		p.gaps.MissValue(m.section, m.name)
		known[m.partName] = false
	}
	for _, n := range o.names.names {
		if is, has := known[n]; o.isLost(t, n) && (!has || !is) && !slices.Contains(j.scene.touched, n) {
			p.gaps.MissValue(n.section, n.name)
		}
	}
	if j.w.mayOwn() {
		p.gaps.MissOld("metadata", "managedFields")
		p.gaps.MissNew("metadata", "managedFields")
	}
	before, _ := j.touchedParts(t, p)
	after, ok := j.patched(before)
	if !ok {
		return nil
	}
	for _, n := range j.scene.touched {
		if o.isLost(t, n) || !o.isKept(t, n) {
			p.gaps.MissNew(n.section, n.name)
		}
	}
	p.old, p.updated = slices.Concat(rest, before), slices.Concat(rest, after)
	return p
}

func uidDiffers(required, uid string) bool { return required != "" && required != uid }

// isKept reports whether the value of a part is known: also that the object does not have it.
func (o *objects) isKept(t *tracked, name partName) bool {
	for _, m := range o.parts(t) {
		if m.partName == name {
			return m.kept
		}
	}
	return true
}

// patched returns what the patch makes of the touched parts, and false if that depends on its kind.
func (j *evaluation) patched(before []part) ([]part, bool) {
	var all [][]part
	for _, kind := range j.w.patch.kinds() {
		result, err := j.w.patch.apply(kind, j.w.resource, before)
		if err != nil {
			continue
		}
		var after []part
		for _, n := range j.scene.touched {
			if value := result.value(n.section, n.name); canonical(value) != nil {
				after = append(after, part{n, value})
			}
		}
		all = append(all, after)
	}
	if len(all) == 0 {
		return nil, false
	}
	for _, other := range all[1:] {
		if string(compose(other)) != string(compose(all[0])) {
			return nil, false
		}
	}
	return all[0], true
}

// lastDeleted takes what a deletion changes, and without the answer also the rest, from what the log has last.
func (j *evaluation) lastDeleted(t *tracked) *previous {
	o, w := j.replay.objects, j.w
	p := &previous{gaps: &object.Gaps{}, why: IsTooLarge}
	if w.lacksOptions() {
		p.gaps.MissOptions()
	}
	if w.answer == nil {
		uid := textMember(member(w.event.RequestObject, "preconditions"), "uid")
		if uidDiffers(uid, t.uid) {
			return nil
		}
	} else if w.answer.uid != t.uid {
		return nil
	}
	sums := map[partName]uint64{}
	for _, m := range o.parts(t) {
		sums[m.partName] = m.sum
		switch {
		case w.answer != nil && !isOfDeletion(m.partName):
		case m.kept:
			p.old = append(p.old, part{m.partName, m.value})
		default:
			p.gaps.MissOld(m.section, m.name)
		}
	}
	for i := range t.lost {
		n := o.names.names[t.lost[i]]
		if w.answer == nil || isOfDeletion(n) {
			p.gaps.MissOld(n.section, n.name)
			p.why = NoAnswer
		}
	}
	if w.answer == nil {
		return p
	}
	for _, q := range storedParts(w.answer) {
		if isOfDeletion(q.partName) {
			continue
		}
		if sum, had := sums[q.partName]; !o.isLost(t, q.partName) && (!had || sum != o.sum(q.value)) {
			return nil
		}
		p.old = append(p.old, q)
	}
	return p
}

// complete evaluates units on the object as the log has it last, and returns the units without a verdict.
func (j *evaluation) complete(pending []*unit, p *previous) []*unit {
	if p == nil {
		return pending
	}
	j.stored = j.w.answer != nil
	j.out.Derived = j.w.answer == nil || p.unchecked
	if len(pending) == 0 {
		return nil
	}
	r := j.out.Request
	j.set(&r, p.old, p.updated, p.gaps)
	var left []*unit
	for _, u := range pending {
		found, known := j.evaluateUnit(u, &r)
		if !known {
			left = append(left, u)
			continue
		}
		j.add(found, true)
		j.out.Assumes = append(j.out.Assumes, Unknown{Policy: u.policy, Rule: u.rule, Reason: IsIncomplete})
	}
	if len(left) > 0 && p.why != "" {
		j.scene.why = p.why
	}
	j.out.Request.Object, j.out.Request.OldObject = r.Object, r.OldObject
	return left
}

// isUnverifiable reports whether a write must not be evaluated because of a quantity, as far as that is known.
func isUnverifiable(found []policy.PolicyViolation) bool {
	return slices.ContainsFunc(found, func(v policy.PolicyViolation) bool { return v.Rule == policy.Unverified })
}
