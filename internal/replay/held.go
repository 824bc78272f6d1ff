// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/policy"
)

// objectsRule is the rule about the objects of other kinds that name a node.
const objectsRule policy.RuleID = "objects"

// withoutNode adds the violations of policies that name a node agent whose credential names no node. They depend on nothing that a log
// lacks.
func (j *evaluation) withoutNode(pending []*unit) {
	r := j.out.Request
	r.Object, r.OldObject = []byte("{}"), []byte("{}")
	switch r.Operation {
	case admissionv1.Create:
		r.OldObject = nil
	case admissionv1.Delete:
		r.Object = nil
	case admissionv1.Update, admissionv1.Connect:
	}
	var done []string
	for _, u := range pending {
		if slices.Contains(done, u.policy) || j.replay.units.mayLackNode[u.policy] {
			continue
		}
		done = append(done, u.policy)
		found := slices.DeleteFunc(u.set.Evaluate(&r).Violations, func(v policy.PolicyViolation) bool { return v.Rule != policy.WithoutNode })
		if len(found) == 0 {
			j.out.Unknown = append(j.out.Unknown, Unknown{Policy: u.policy, Rule: policy.WithoutNode, Reason: IsUnreadable})
		}
		for _, v := range found {
			j.out.Violations = append(j.out.Violations, Violation{PolicyViolation: v})
		}
	}
}

// skim is what is kept of an object that names its node and is neither a Node nor a pod: the fields that do.
type skim struct {
	uid     string
	version uint64
	at      time.Time // when an answer had it
	object  jsontext.Value
}

// skims are the objects that name their node as the log has them last.
type skims struct {
	known map[key]skim
	// blind is when the last write of an object was answered that may have changed it and whose answer is not known.
	blind map[key]time.Time
	// many says that there are more objects than are kept.
	many bool
}

func newSkims() *skims { return &skims{known: map[key]skim{}, blind: map[key]time.Time{}} }

const (
	// maxSkims bounds how many objects are kept, and maxSkim a value of one, in bytes.
	maxSkims = 100_000
	maxSkim  = 1024
)

// skimOf returns what is kept of an object, and false if a field is too large.
func (u *units) skimOf(resource string, o *whole) (skim, bool) {
	root := map[string]any{}
	for _, path := range u.paths[resource] {
		value := valueAt(o.raw, path)
		if value == nil {
			continue
		}
		if len(value) > maxSkim {
			return skim{}, false
		}
		names := strings.Split(path, ".")
		at := root
		for _, name := range names[:len(names)-1] {
			next, is := at[name].(map[string]any)
			if !is {
				next = map[string]any{}
				at[name] = next
			}
			at = next
		}
		if _, taken := at[names[len(names)-1]].(map[string]any); !taken { // of a longer path
			at[names[len(names)-1]] = json.RawMessage(value)
		}
	}
	encoded, err := json.Marshal(root)
	return skim{uid: o.uid, version: o.version, object: encoded}, err == nil
}

// followNode notes which node an object names after a write.
func (r *Replay) followNode(w *written) {
	all := r.skims
	if r.units.paths[w.resource] == nil || !w.stores() {
		return
	}
	if w.event.Verb == "deletecollection" {
		for k := range all.known {
			if k.resource == w.key.resource && (w.key.namespace == "" || k.namespace == w.key.namespace) {
				delete(all.known, k)
			}
		}
		return
	}
	last, has := all.known[w.key]
	blind, after := all.blind[w.key]
	switch {
	case len(all.known) >= maxSkims || len(all.blind) >= maxSkims:
		clear(all.known)
		clear(all.blind)
		all.many = true
	case w.answer == nil:
		delete(all.known, w.key)
		all.blind[w.key] = w.at
	case w.operation == admissionv1.Delete:
		delete(all.known, w.key)
	case has && w.version < last.version: // it was logged late
	case after && w.from.Sub(blind) <= r.objects.skew: // which of the two came first is not known
		delete(all.known, w.key)
	default:
		delete(all.blind, w.key)
		delete(all.known, w.key)
		if s, ok := r.units.skimOf(w.resource, w.answer); ok {
			s.at = w.at
			all.known[w.key] = s
		}
	}
}

// skim returns the object of a write as the log has it last, and whether it certainly stood before the write. It returns nil if it does not
// fit the write.
func (r *Replay) skim(w *written) (last *skim, certain bool) {
	s, has := r.skims.known[w.key]
	if !has || r.skims.many {
		return nil, false
	}
	if w.answer == nil {
		if w.from.Sub(s.at) <= r.objects.skew || r.order.hasNear(w) {
			return nil, false
		}
		return &s, false
	}
	switch {
	case w.operation == admissionv1.Delete || s.uid != w.answer.uid || s.uid == "" || w.version == 0:
		return nil, false
	case w.dryRun:
		return &s, w.version == s.version
	case s.version >= w.version || r.order.hasTwin(w) || len(r.order.unseen(w)) > 0:
		return nil, false
	}
	return &s, w.requires() != 0 && w.requires() == s.version
}

// evaluateObjects evaluates a write by the rule about objects that name a node. It reads the field with the name in the stored and in the
// written object. What was stored is the answer to a deletion, or what the log has last.
func (j *evaluation) evaluateObjects(u *unit) {
	w, r := j.w, j.out.Request
	lacks := Unknown{Policy: u.policy, Rule: u.rule, Part: strings.Join(j.replay.units.paths[w.resource], ", "), Reason: w.whyNot()}
	updated, old, assumes, known := j.objects()
	r.Object, r.OldObject = updated, old
	if !known && (updated == nil || w.operation != admissionv1.Update) {
		if lacks.Reason == NoAnswer {
			lacks.Reason = IsUntracked
		}
		j.out.Unknown = append(j.out.Unknown, lacks)
		return
	}
	if !known {
		r.OldObject = updated // if this violates the rule, it does so whatever was stored
	}
	found, ok := j.evaluate(u.set, &r)
	switch {
	case !ok:
		j.out.Unknown = append(j.out.Unknown, lacks)
	case !known && !slices.ContainsFunc(found, func(v policy.PolicyViolation) bool { return v.Rule == u.rule }):
		lacks.Reason = IsUntracked
		j.out.Unknown = append(j.out.Unknown, lacks)
	default:
		j.add(found, assumes)
		if assumes {
			j.out.Derived = true
			j.out.Assumes = append(j.out.Assumes, Unknown{Policy: u.policy, Rule: u.rule, Reason: IsIncomplete})
		}
	}
}

// objects returns the object of a write after it and before it, as far as the rule about such objects reads them, and whether the latter
// holds only if the log lacks no write. It returns false if it is not known what the rule needs.
func (j *evaluation) objects() (updated, old []byte, assumes, known bool) {
	w := j.w
	last, certain := j.replay.skim(w)
	var stored []byte
	if last != nil {
		stored = last.object
	}
	switch {
	case w.event.Stage == auditlog.Panic, w.key.name == "", w.event.Verb == "deletecollection":
		return nil, nil, false, false
	case w.operation == admissionv1.Create && w.answer != nil:
		return w.answer.raw, nil, false, true
	case w.operation == admissionv1.Create && w.body != nil && !w.isMutated():
		return w.body.raw, nil, false, true
	case w.operation == admissionv1.Create:
		return nil, nil, false, false
	case w.operation == admissionv1.Delete && w.answer != nil:
		return nil, w.answer.raw, false, true
	case w.operation == admissionv1.Delete:
		return nil, stored, true, last != nil
	case w.answer == nil:
		return nil, nil, false, false
	}
	return w.answer.raw, stored, !certain, last != nil
}
