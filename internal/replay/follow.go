// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

// follow notes what is stored after a write of whomever.
func (r *Replay) follow(w *written) {
	o := r.objects
	if !w.key.isTracked() || !w.stores() || w.operation == admissionv1.Connect {
		return
	}
	t := o.latest[w.key]
	switch {
	case w.event.Verb == "deletecollection":
		o.loseDeleted(w.key)
	case t != nil && w.version != 0 && w.version < t.version:
		// It was logged late, and is in the past.
	case w.operation == admissionv1.Delete && w.key.resource == "nodes":
		o.forget(w.key)
	case w.operation == admissionv1.Delete:
		o.followDeletion(w, t)
	case w.answer != nil:
		o.store(w, t)
	default:
		e := unseen{w.from, w.at, w.effect()}
		o.recent[w.key] = append(o.recent[w.key], e)
		for _, t := range []*tracked{t, o.seeds[w.key]} {
			if t != nil {
				o.apply(e, t)
			}
		}
	}
}

// prepare notes writes that may have come before this one, and forgets those that are too old to have come after it.
func (o *objects) prepare(w *written, unseens []*written) {
	if !w.key.isTracked() {
		return
	}
	recent := slices.DeleteFunc(o.recent[w.key], func(other unseen) bool { return w.from.Sub(other.at) > o.skew })
	if len(recent) == 0 {
		delete(o.recent, w.key)
	} else {
		o.recent[w.key] = recent
	}
	if t := o.latest[w.key]; t != nil {
		for _, other := range unseens {
			o.apply(unseen{other.from, other.at, other.effect()}, t)
		}
	}
}

func (o *objects) forget(k key) {
	delete(o.latest, k)
	delete(o.seeds, k)
	delete(o.recent, k)
}

// store notes the answer to a write. Writes whose answers are not known may have come after it, although their time is earlier.
func (o *objects) store(w *written, before *tracked) {
	latest := o.remember(w.answer, w.key)
	latest.at, latest.first = w.at, w.at
	if before != nil && before.uid == latest.uid {
		latest.deleting, latest.deleted, latest.first = latest.deleting || before.deleting, before.deleted, before.first
		if before.version == latest.version && !before.since && before.at.Before(w.at) {
			latest.at = before.at
		}
	}
	o.latest[w.key] = latest
	for _, other := range o.recent[w.key] {
		other.deletes = false // perhaps of an object of the same name before this one
		o.apply(other, latest)
	}
}

// effect is what a write may have changed whose answer does not have the object.
type effect struct {
	all     bool // any part
	deletes bool
	parts   []partName
}

// unseen is a write whose answer does not have the object.
type unseen struct {
	from, at time.Time
	effect
}

func (w *written) effect() effect {
	switch {
	case w.event.ObjectRef.Subresource == "eviction":
		return effect{deletes: true, parts: []partName{{"metadata", "deletionTimestamp"}, {"status", "conditions"}}}
	case w.event.ObjectRef.Subresource == "binding":
		return effect{parts: []partName{{"spec", "nodeName"}, {"metadata", "labels"}, {"metadata", "annotations"}, {"status", "conditions"}}}
	case w.patch == nil, w.patch.all, w.isMutated():
		return effect{all: true, deletes: w.operation == admissionv1.Delete}
	}
	var parts []partName
	for i := range w.patch.touched {
		parts = append(parts, w.patch.touched[i].partName)
	}
	return effect{parts: parts}
}

// apply notes that a write may have changed an object.
func (o *objects) apply(e unseen, t *tracked) {
	t.since = true
	t.all = t.all || e.all
	if e.deletes && t.deleted.IsZero() && e.from.Sub(t.first) > o.skew { // otherwise it may be about an object of the same name before
		t.deleted = e.at
	}
	for _, name := range e.parts {
		o.lose(t, name)
	}
}

func (w *written) isMutated() bool {
	_, is := w.mutator()
	return is
}

// loseDeleted notes that any of the objects in a namespace may have been deleted.
func (o *objects) loseDeleted(of key) {
	for _, known := range []map[key]*tracked{o.latest, o.seeds} {
		for k, t := range known {
			if k.resource == of.resource && (of.namespace == "" || k.namespace == of.namespace) {
				o.lose(t, partName{"metadata", "deletionTimestamp"})
			}
		}
	}
}

// followDeletion notes the deletion of a pod, which stays until its kubelet, or somebody else, deletes it without a grace period.
func (o *objects) followDeletion(w *written, t *tracked) {
	switch {
	case w.answer != nil && !isGone(w.answer):
		o.store(w, t)
	case w.answer != nil || w.isKubelets:
		o.forget(w.key)
	case t != nil:
		o.apply(unseen{w.from, w.at, w.effect()}, t)
	}
}

// isGone reports whether the answer to a deletion is that of a pod which is not stored any more.
func isGone(answer *whole) bool {
	grace := string(answer.value("metadata", "deletionGracePeriodSeconds"))
	return (grace == "0" || grace == "") && canonical(answer.value("metadata", "finalizers")) == nil
}
