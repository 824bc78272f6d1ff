// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// differences are the parts that an update changes, byte for byte.
type differences struct {
	known bool // the objects have been compared
	in    partSet
	parts []Difference
}

// Difference is a part that differs between two objects.
type Difference struct {
	id            partID
	Section, Name string
	Old, Updated  jsontext.Value // nil: the object does not have the part

	oldElements, updatedElements []jsontext.Value // of a list that rules read by its elements
}

// fewDifferences is the initial capacity for differences. A heartbeat has no more.
const fewDifferences = 3

// compare returns the differences, and marks the parts of the updated object that are the same in both.
func compare(old, updated Parts) differences {
	d := differences{known: true}
	inOld, inUpdated := partFinder{parts: old}, partFinder{parts: updated}
	found := 0
	for i := range updated {
		p := &updated[i]
		before := inOld.find(p, i)
		if before == nil {
			d.add(Difference{id: p.id, Section: p.section, Name: p.name, Updated: p.value})
			continue
		}
		found++
		if p.same = bytes.Equal(before.value, p.value); !p.same {
			d.add(Difference{p.id, p.section, p.name, before.value, p.value, before.elements, p.elements})
		}
	}
	if found == len(old) {
		return d
	}
	for i := range old {
		if p := &old[i]; inUpdated.find(p, i) == nil {
			d.add(Difference{id: p.id, Section: p.section, Name: p.name, Old: p.value})
		}
	}
	return d
}

func (d *differences) add(change Difference) {
	d.in |= 1 << change.id
	if d.parts == nil {
		d.parts = make([]Difference, 0, fewDifferences)
	}
	d.parts = append(d.parts, change)
}

// Differences returns the parts in which two objects differ. It returns an error for the reasons of [ReadObject], or if an object is
// missing.
func Differences(old, updated []byte) ([]Difference, error) {
	before, err := split(old)
	if err != nil {
		return nil, err
	}
	after, err := split(updated)
	if err != nil {
		return nil, err
	}
	return compare(before, after).parts, nil
}

// IsManagedFields reports whether the part is metadata.managedFields, which the API server manages.
func (d *Difference) IsManagedFields() bool { return d.id == managedFields }

// DecodeOld decodes the old value, if there is one, into the part's field of an object.
func (d *Difference) DecodeOld(into any) error { return d.decode(d.Old, into) }

// DecodeUpdated decodes the new value, if there is one, into the part's field of an object.
func (d *Difference) DecodeUpdated(into any) error { return d.decode(d.Updated, into) }

func (d *Difference) decode(value jsontext.Value, into any) error {
	if value == nil {
		return nil
	}
	name, err := jsontext.AppendQuote(nil, d.Name)
	if err != nil {
		return err
	}
	object := slices.Concat([]byte(`{"`+d.Section+`":{`), name, []byte(`:`), value, []byte(`}}`))
	if !hasFewValues(object) {
		return errTooManyValues
	}
	return Unmarshal(object, into)
}
