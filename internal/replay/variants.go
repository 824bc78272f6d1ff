// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// foreign is what a variant has where any other value could stand.
const foreign = "other.example.com"

// variants returns values of a touched part that stand for all that could have stood there, and false if there are too many cases. A value
// of nil stands for an object without the part.
func (j *evaluation) variants(n partName) ([]part, bool) {
	var patched jsontext.Value
	for _, p := range j.w.patch.touched {
		if p.partName == n {
			patched = p.value
		}
	}
	if patched == nil || bytes.Contains(patched, []byte(`"$`)) {
		return nil, false // only directives, or directives inside
	}
	var updated jsontext.Value
	if j.w.answer != nil {
		updated = j.w.answer.value(n.section, n.name)
	}
	var values []jsontext.Value
	ok := true
	switch n.name {
	case "labels", "annotations", "capacity", "allocatable", "nodeInfo":
		values, ok = mapVariants(patched, updated, n.name)
	case "conditions":
		values, ok = j.listVariants(n, patched, updated, "type")
	case "addresses":
		values, ok = j.listVariants(n, patched, updated, "type")
	case "podIPs", "hostIPs":
		values, ok = j.listVariants(n, patched, updated, "ip")
	case "phase":
		values = texts("", "Pending", "Running", "Succeeded", "Failed", "Unknown")
	case "podIP", "hostIP":
		values = texts("", "192.0.2.1")
	case "images", "volumesInUse", "declaredFeatures", "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses",
		"daemonEndpoints", "observedGeneration":
		// Rules compare what is new or more with what was there: nothing excuses least.
		values = []jsontext.Value{nil}
	default:
		return nil, false
	}
	parts := make([]part, len(values))
	for i, value := range values {
		parts[i] = part{n, value}
	}
	return parts, ok
}

func texts(values ...string) []jsontext.Value {
	var all []jsontext.Value
	for _, v := range values {
		if v == "" {
			all = append(all, nil)
			continue
		}
		all = append(all, jsontext.Value(`"`+v+`"`))
	}
	return all
}

// mapVariants returns maps in which the keys that a patch names are absent, or have another value. The other keys are as in the answer.
func mapVariants(patched, updated jsontext.Value, name string) ([]jsontext.Value, bool) {
	if patched.Kind() != '{' {
		return nil, false
	}
	touched, err := membersOf(patched)
	if err != nil {
		return nil, false
	}
	base := map[string]jsontext.Value{}
	if updated != nil {
		members, err := membersOf(updated)
		if err != nil {
			return nil, false
		}
		for _, m := range members {
			base[m.name] = m.value
		}
	}
	for _, m := range touched {
		delete(base, m.name)
	}
	absent, err := json.Marshal(base)
	if err != nil {
		return nil, false
	}
	other := jsontext.Value(`"` + foreign + `"`)
	if name == "capacity" || name == "allocatable" {
		other = jsontext.Value(`"1"`)
	}
	for _, m := range touched {
		base[m.name] = other
	}
	present, err := json.Marshal(base)
	if err != nil {
		return nil, false
	}
	return []jsontext.Value{absent, present}, true
}

// listVariants returns lists in which the elements that a patch names are absent, or other ones. The other elements are as in the answer.
// If the patch may be a merge patch, which replaces the list, there may have been other elements, too.
func (j *evaluation) listVariants(n partName, patched, updated jsontext.Value, keyed string) ([]jsontext.Value, bool) {
	elements, ok := elementsOf(patched)
	if !ok {
		return nil, false
	}
	var named []string
	for _, e := range elements {
		k := textMember(e, keyed)
		if k == "" {
			return nil, false
		}
		named = append(named, k)
	}
	stored, ok := elementsOf(updated)
	if !ok {
		return nil, false
	}
	var base []jsontext.Value
	for _, e := range stored {
		if !slices.Contains(named, textMember(e, keyed)) {
			base = append(base, e)
		}
	}
	present := slices.Clone(base)
	for _, k := range named {
		present = append(present, foreignElement(n.name, keyed, k))
	}
	values := []jsontext.Value{listOf(base), listOf(present)}
	if updated == nil || j.isReplaced(n, patched, updated) {
		values = append(values, listOf(append(slices.Clone(present), foreignElement(n.name, keyed, foreignKey(n.name)))))
	}
	return values, true
}

// isReplaced reports whether the answer has nothing in a list but what the patch has, as after a merge patch.
func (j *evaluation) isReplaced(n partName, patched, updated jsontext.Value) bool {
	encoded, err := encode(j.w.resource, compose([]part{{n, patched}}))
	if err != nil {
		return true
	}
	o, err := splitWhole(encoded)
	return err != nil || same(o.value(n.section, n.name), updated)
}

func elementsOf(list jsontext.Value) ([]jsontext.Value, bool) {
	if list == nil {
		return nil, true
	}
	var elements []jsontext.Value
	if list.Kind() != '[' || json.Unmarshal(list, &elements) != nil {
		return nil, false
	}
	return elements, true
}

func listOf(elements []jsontext.Value) jsontext.Value {
	if len(elements) == 0 {
		return nil
	}
	list, err := json.Marshal(elements)
	if err != nil {
		return nil
	}
	return list
}

// foreignKey is a key that another client could have in a list.
func foreignKey(list string) string {
	switch list {
	case "addresses":
		return "ExternalIP"
	case "podIPs", "hostIPs":
		return "192.0.2.2"
	}
	return foreign + "/Condition"
}

// foreignElement is an element of a list that another client could have written.
func foreignElement(list, keyed, k string) jsontext.Value {
	element := map[string]string{keyed: k}
	switch list {
	case "addresses":
		element["address"] = "192.0.2.1"
	case "conditions":
		element["status"], element["reason"] = "Unknown", foreign
	}
	encoded, err := json.Marshal(element)
	if err != nil {
		return nil
	}
	return encoded
}
