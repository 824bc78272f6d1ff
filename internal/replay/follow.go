// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
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
		delete(o.latest, w.key)
		delete(o.seeds, w.key)
	case w.operation == admissionv1.Delete:
		o.followDeletion(w, t)
	case w.answer != nil:
		o.latest[w.key] = o.remember(w.answer, w.key)
		if t != nil && t.uid == w.answer.uid && t.deleting {
			o.latest[w.key].deleting = true
		}
	default:
		for _, t := range []*tracked{t, o.seeds[w.key]} {
			if t != nil {
				o.followUnseen(w, t)
			}
		}
	}
}

// followUnseen notes a write whose answer does not have the object.
func (o *objects) followUnseen(w *written, t *tracked) {
	t.version = 0
	switch {
	case w.event.ObjectRef.Subresource == "eviction":
		t.deleting = true
		o.loseParts(t, partName{"metadata", "deletionTimestamp"}, partName{"status", "conditions"})
	case w.event.ObjectRef.Subresource == "binding":
		o.loseParts(t, partName{"spec", "nodeName"}, partName{"metadata", "labels"}, partName{"metadata", "annotations"},
			partName{"status", "conditions"})
	case w.patch != nil && !w.patch.all && !w.isMutated():
		for i := range w.patch.touched {
			o.lose(t, w.patch.touched[i].partName)
		}
	default:
		t.all = true
	}
}

func (w *written) isMutated() bool {
	_, is := w.mutator()
	return is
}

func (o *objects) loseParts(t *tracked, names ...partName) {
	for _, name := range names {
		o.lose(t, name)
	}
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
		o.latest[w.key] = o.remember(w.answer, w.key)
	case w.answer != nil || w.isKubelets:
		delete(o.latest, w.key)
		delete(o.seeds, w.key)
	case t != nil:
		t.deleting, t.all, t.version = true, true, 0
	}
}

// isGone reports whether the answer to a deletion is that of a pod which is not stored any more.
func isGone(answer *whole) bool {
	grace := string(answer.value("metadata", "deletionGracePeriodSeconds"))
	return (grace == "0" || grace == "") && canonical(answer.value("metadata", "finalizers")) == nil
}
