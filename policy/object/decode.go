// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"
)

// decodable is an object of which parts are decoded.
type decodable[O any] interface {
	*O
	// field returns a pointer to the field of a part, or nil if the object has none.
	field(id PartID) any
	// compared says that rules look at a part only to see what has changed in it.
	compared(id PartID) bool
	// keep keeps a part that has no field.
	keep(p *part)
}

// decodeObjects decodes the wanted parts of the objects of a write, whatever the operation has of them.
func decodeObjects[O any, T decodable[O]](v *View, w Write, wanted PartSet, object, old **O) error {
	if err := v.Split(w); err != nil {
		return err
	}
	if v.Parts != nil {
		*object = new(O)
	}
	if v.OldParts != nil {
		*old = new(O)
	}
	room := valueBudget(maxValues)
	switch {
	case v.OldParts == nil:
		return within("object", decodeParts(T(*object), v.Parts, wanted, &room))
	case v.Parts == nil:
		return within("oldObject", decodeParts(T(*old), v.OldParts, wanted, &room))
	}
	return decodeChange(T(*old), T(*object), v, wanted, &room)
}

// Split takes the objects apart, unless whoever made the view has done so, and compares them at an update.
func (v *View) Split(w Write) (err error) {
	if !w.hasParts() {
		return nil
	}
	if w.Operation == admissionv1.Delete {
		v.Parts = nil
	} else if v.Parts == nil {
		if v.Parts, err = split(w.Object); err != nil {
			return fmt.Errorf("object: %w", err)
		}
	}
	if w.Operation == admissionv1.Create {
		v.OldParts = nil
		return nil
	}
	if v.OldParts == nil {
		v.OldParts, err = split(w.OldObject)
		if w.Operation == admissionv1.Delete && errors.Is(err, errNoObject) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("oldObject: %w", err)
		}
	}
	if v.Parts != nil && !v.differences.known {
		v.differences = compare(v.OldParts, v.Parts)
	}
	return nil
}

// decodeChange decodes an update: what differs of both objects, and what is the same once.
func decodeChange[O any, T decodable[O]](old, updated T, v *View, wanted PartSet, room *valueBudget) error {
	for i := range v.Parts {
		p := &v.Parts[i]
		if !wanted.has(p.id) || p.same && updated.compared(p.id) {
			continue
		}
		if err := decodePart(updated, p, room); err != nil {
			return within("object", err)
		}
		if !p.same {
			continue
		}
		if from := updated.field(p.id); from != nil {
			reflect.ValueOf(old.field(p.id)).Elem().Set(reflect.ValueOf(from).Elem())
		} else {
			old.keep(p)
		}
	}
	for i := range v.differences.parts {
		d := &v.differences.parts[i]
		if d.Old == nil || !wanted.has(d.id) {
			continue
		}
		if err := decodePart(old, &part{id: d.id, section: d.Section, name: d.Name, value: d.Old}, room); err != nil {
			return within("oldObject", err)
		}
	}
	return nil
}

func decodeParts[O any, T decodable[O]](into T, from Parts, wanted PartSet, room *valueBudget) error {
	for i := range from {
		if p := &from[i]; wanted.has(p.id) {
			if err := decodePart(into, p, room); err != nil {
				return err
			}
		}
	}
	return nil
}

func decodePart[O any, T decodable[O]](into T, p *part, room *valueBudget) error {
	field := into.field(p.id)
	if field == nil {
		into.keep(p)
		return nil
	}
	err := room.take(p.id, p.value)
	if err != nil {
		return fmt.Errorf("%s.%s: %w", p.section, p.name, err)
	}
	switch into := field.(type) {
	case *Conditions:
		err = into.read(p.value)
	case *claimStatuses:
		err = Unmarshal(p.value, into)
	default:
		err = json.Unmarshal(p.value, field)
	}
	if err != nil {
		return fmt.Errorf("%s.%s: %w", p.section, p.name, err)
	}
	return nil
}

// within says which object an error is about.
func within(object string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", object, err)
}
