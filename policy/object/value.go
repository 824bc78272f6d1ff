// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Part is a part of an object, such as its labels, in the stored and in the written object. A caller must not change what its methods
// return.
type Part[T any] struct {
	view   *View
	id     partID
	values *values[T]
}

// values are those of a part. Each is set when it is decoded.
type values[T any] struct{ old, updated T }

func partOf[T any](v *View, id partID, kept *values[T]) Part[T] { return Part[T]{v, id, kept} }

// Changed reports whether the write changes the part, byte for byte. A creation and a deletion change each part.
func (p Part[T]) Changed() bool { return p.view.changes(p.id) }

// Change returns the part in the stored and in the written object if the write changes it, and otherwise two zero values. A part that
// the write does not change is not decoded.
func (p Part[T]) Change() (old, updated T) {
	if !p.view.changes(p.id) {
		return old, updated
	}
	return p.Old(), p.New()
}

// Old returns the part of the stored object: the zero value if there is no stored object, or if it does not have the part.
func (p Part[T]) Old() T {
	v := p.view
	if !v.changes(p.id) {
		return p.New()
	}
	v.ask(missingOld, 1<<p.id)
	if !v.oldDecoded.has(p.id) {
		v.oldDecoded |= 1 << p.id
		v.decode("oldObject", v.oldParts.find(p.id), &p.values.old)
	}
	return p.values.old
}

// New returns the part of the written object: the zero value if there is no written object, or if it does not have the part.
func (p Part[T]) New() T {
	v := p.view
	v.ask(missingUpdated, 1<<p.id)
	if !v.decoded.has(p.id) {
		v.decoded |= 1 << p.id
		v.decode("object", v.parts.find(p.id), &p.values.updated)
	}
	return p.values.updated
}

// RawPart is a part of an object, as it was sent, in the stored and in the written object.
type RawPart struct {
	view *View
	id   partID
}

// Change returns the part in the stored and in the written object if the write changes it, and otherwise nil and nil.
func (p RawPart) Change() (old, updated jsontext.Value) {
	if !p.view.changes(p.id) {
		return nil, nil
	}
	p.view.ask(missingOld, 1<<p.id)
	p.view.ask(missingUpdated, 1<<p.id)
	return p.view.oldParts.value(p.id), p.view.parts.value(p.id)
}

// New returns the part of the written object; nil if there is no written object, or if it does not have the part.
func (p RawPart) New() jsontext.Value {
	p.view.ask(missingUpdated, 1<<p.id)
	return p.view.parts.value(p.id)
}

// decode decodes a part of the named object, if the object has it.
func (v *View) decode(object string, p *part, into any) {
	if p == nil {
		return
	}
	err := v.room.take(p.id, p.value)
	if err == nil {
		err = decodePart(p, into)
	}
	if err != nil {
		v.fail(fmt.Errorf("%s: %s.%s: %w", object, p.section, p.name, err))
	}
}

func decodePart(p *part, into any) error {
	switch into := into.(type) {
	case *Conditions:
		list, err := p.list()
		if err != nil {
			return err
		}
		return into.read(list)
	case *[]ContainerStatus:
		list, err := p.list()
		if err != nil {
			return err
		}
		return readStatuses(list, into)
	case *ClaimStatuses:
		return Unmarshal(p.value, into)
	}
	return json.Unmarshal(p.value, into)
}
