// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/policy"
)

// blind returns the rules that read at most the name of an object in writes of other resources than Nodes and pods.
func blind() []policy.RuleID {
	return []policy.RuleID{"pod-eviction", "baseline-leases", "baseline-csi-nodes", "lockdown"}
}

// onlyName is an object that has nothing but its name. It is empty if the name is not known.
func onlyName(k key) []byte {
	name, err := jsontext.AppendQuote(nil, k.name)
	if err != nil || k.name == "" {
		return nil
	}
	return []byte(`{"metadata":{"name":` + string(name) + `}}`)
}

// evaluateWhole evaluates a write of another resource, whose object rules read as a whole.
func (j *evaluation) evaluateWhole(pending []*unit) {
	w, r := j.w, &j.out.Request
	known := false
	switch {
	case w.event.Stage == "Panic":
	case w.operation == admissionv1.Create && w.body != nil && !w.isMutated():
		r.Object, known = w.body.raw, true
	case w.operation == admissionv1.Create && w.answer != nil && w.event.ObjectRef.Subresource == "":
		r.Object, known = w.answer.raw, true
	}
	if !known && w.operation != admissionv1.Delete {
		r.Object = onlyName(w.key)
	}
	if w.operation != admissionv1.Create {
		r.OldObject = onlyName(w.key)
	}
	for _, u := range pending {
		if u.rule == objectsRule {
			j.evaluateObjects(u)
			continue
		}
		if known || w.key.name != "" && slices.Contains(blind(), u.rule) {
			if found, ok := j.evaluate(u.set, r); ok {
				j.add(found, false)
				continue
			}
		}
		lacks := j.lacks(u)
		if !known && lacks.Part == "" {
			lacks.Reason = w.whyNot()
			if w.operation != admissionv1.Create && lacks.Reason == NoAnswer {
				lacks.Reason = IsUntracked
			}
		}
		j.out.Unknown = append(j.out.Unknown, lacks)
	}
}
