// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/maphash"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Shape describes the fields in the JSON of a Go type. A value that is not of the kind of its shape has no unknown fields.
type Shape struct {
	fields  map[string]member // of an object with fixed names
	ordered []member          // the same, in the order of the Go type
	element *Shape            // of a list, or of an object with any names
	key     string            // of a list: the field that identifies its elements; empty: no field does
	// quantity says that the type is a quantity, inside that it contains one.
	quantity, inside bool
}

// hasQuantities reports whether a value of the shape is a quantity or may contain one.
func (s *Shape) hasQuantities() bool { return s.quantity || s.inside }

// member is a field of an object.
type member struct {
	name  string
	shape *Shape
}

// Shapes holds shapes by their types.
type Shapes map[reflect.Type]*Shape

// Of returns the shape of a Go type.
func (all Shapes) Of(t reflect.Type) *Shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if known, ok := all[t]; ok {
		return known
	}
	s := &Shape{quantity: t == reflect.TypeFor[resource.Quantity]()}
	all[t] = s
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return s // a quantity, a time: what is inside is one value
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Map:
		s.element = all.Of(t.Elem())
		s.inside = s.element.hasQuantities()
		s.key = s.element.usualKey()
	case reflect.Struct:
		s.fields = map[string]member{}
		all.addFields(s, t)
		for _, field := range s.fields {
			s.inside = s.inside || field.shape.hasQuantities()
		}
	}
	return s
}

// usualKey returns the field that identifies elements of a list without a declared key.
func (s *Shape) usualKey() string {
	for _, name := range []string{"uid", "name", "type", "key", "ip", "containerID", "names"} {
		if _, has := s.fields[name]; has {
			return name
		}
	}
	return ""
}

// addFields adds the fields of a struct, including those of embedded structs.
func (all Shapes) addFields(to *Shape, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		switch name, _, _ := strings.Cut(field.Tag.Get("json"), ","); {
		case name == "" && field.Anonymous:
			all.addFields(to, field.Type)
		case name != "" && name != "-":
			inner := all.Of(field.Type)
			if key := field.Tag.Get("patchMergeKey"); key != "" {
				keyed := *inner
				keyed.key, inner = key, &keyed
			}
			to.fields[name] = member{name, inner}
			to.ordered = append(to.ordered, to.fields[name])
		}
	}
}

// covers reports whether the shape has each field of a value.
func (s *Shape) covers(c *cursor) bool {
	kind := c.kind()
	if !s.holds(kind) {
		c.skip()
		return true
	}
	next := 0
	for c.enter(); c.more(); {
		inner := s.element
		if kind == jsontext.KindBeginObject {
			name := c.name()
			if s.fields != nil {
				field, known := s.fieldFrom(&next, name)
				if !known {
					return false
				}
				inner = field.shape
			}
		}
		if !inner.covers(c) {
			return false
		}
	}
	return true
}

// fieldFrom returns the field with a name. It looks first at those from an index on, since an API server writes fields in their order,
// and moves the index behind the field.
func (s *Shape) fieldFrom(next *int, name []byte) (member, bool) {
	for i := *next; i < len(s.ordered); i++ {
		if s.ordered[i].name == string(name) {
			*next = i + 1
			return s.ordered[i], true
		}
	}
	field, known := s.fields[string(name)]
	return field, known
}

// isCovered reports whether the shape of the object has each field of the part, apart from elements that do not change.
func (d *Difference) isCovered(of *Shape) bool {
	if d.Section != "" {
		of = of.fields[d.Section].shape
	}
	field, known := of.fields[d.Name]
	if !known {
		return false
	}
	if n := len(d.oldElements); n == 0 || n != len(d.updatedElements) {
		return field.shape.covers(&cursor{text: d.Old}) && field.shape.covers(&cursor{text: d.Updated})
	}
	for i, old := range d.oldElements {
		updated, element := d.updatedElements[i], field.shape.element
		if !bytes.Equal(old, updated) && !(element.covers(&cursor{text: old}) && element.covers(&cursor{text: updated})) {
			return false
		}
	}
	return true
}

// unknownField is a field that the shape of its object does not have.
type unknownField struct {
	path  string // with [] for elements of lists and [*] for keys of maps
	value uint64 // hash of its value; of all of them if several elements have the same key
}

// unknown holds the fields of an object that its shape does not have, by the hash of their place. A hash takes constant time and memory,
// however deep a field is and however long the keys above it are.
type unknown struct {
	seed   maphash.Seed // of both objects of an update
	fields map[uint64]unknownField
	part   jsontext.Value // the part that is read
}

// MaxUnknown is the largest number of unknown fields of an object that are compared.
const MaxUnknown = 100_000

// ErrTooManyUnknown means that an object has more than MaxUnknown unknown fields.
var ErrTooManyUnknown = errors.New("too many unknown fields")

// place is the place of a value in an object. Its path is built for unknown fields only.
type place struct {
	parent *place // nil: the object itself
	step   string // such as .name or []
	name   string
	key    string // of an element of a map

	// For an element of a list: the shape of the list, an offset in the part before which the element does not start, and its index.
	list  *Shape
	start int64
	index int

	hashed bool
	hash   uint64 // of the whole place, with the keys of elements
}

func (p *place) path() string {
	if p == nil {
		return ""
	}
	return p.parent.path() + p.step + p.name
}

// read adds the unknown fields of a part. It returns an error if it is not well-formed.
func (u *unknown) read(d *Difference, value jsontext.Value, of *Shape) error {
	if value == nil {
		return nil
	}
	u.part = value
	at := (*place)(nil)
	if d.Section != "" {
		of, at = of.fields[d.Section].shape, &place{name: d.Section}
	}
	decoder := NewDecoder(value)
	if field, known := of.fields[d.Name]; known {
		return u.value(decoder, field.shape, at.child(d.Name))
	}
	return u.add(decoder, at.child(d.Name))
}

// hashOf returns the hash of a place. It is computed once, and only for places of unknown fields and those above them.
func (u *unknown) hashOf(p *place) uint64 {
	switch {
	case p == nil:
		return 0
	case p.hashed:
		return p.hash
	}
	step := maphash.String(u.seed, p.name+p.key)
	if p.list != nil {
		if key := p.list.keyOf(u.part[p.start:]); key != nil {
			step = maphash.Bytes(u.seed, key)
		} else {
			step = maphash.Comparable(u.seed, p.index)
		}
	}
	p.hash, p.hashed = maphash.Comparable(u.seed, [2]uint64{u.hashOf(p.parent), step}), true
	return p.hash
}

// child returns the place of a member of an object.
func (p *place) child(name string) *place {
	if p == nil {
		return &place{name: name}
	}
	return &place{parent: p, step: ".", name: name}
}

// add adds the value of an unknown field.
func (u *unknown) add(decoder *jsontext.Decoder, at *place) error {
	value, err := decoder.ReadValue()
	if err != nil {
		return err
	}
	if u.fields == nil {
		u.fields = map[uint64]unknownField{}
	}
	hash := u.hashOf(at)
	field, had := u.fields[hash]
	if !had {
		if len(u.fields) == MaxUnknown {
			return ErrTooManyUnknown
		}
		field.path = at.path()
	}
	field.value = maphash.Comparable(u.seed, [2]uint64{field.value, maphash.Bytes(u.seed, value)})
	u.fields[hash] = field
	return nil
}

// holds reports whether a value of a kind is an object or a list that the shape describes.
func (s *Shape) holds(kind jsontext.Kind) bool {
	switch kind {
	case jsontext.KindBeginObject:
		return s.fields != nil || s.element != nil
	case jsontext.KindBeginArray:
		return s.fields == nil && s.element != nil
	}
	return false
}

func (u *unknown) value(decoder *jsontext.Decoder, of *Shape, at *place) error {
	kind := decoder.PeekKind()
	switch {
	case !of.holds(kind):
		return decoder.SkipValue()
	case kind == jsontext.KindBeginArray:
		return u.list(decoder, of, at)
	}
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() != jsontext.KindEndObject {
		if err := u.member(decoder, of, at); err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
}

// list reads the elements of a list. Their keys identify them, since lists may be reordered; without a key their index does.
func (u *unknown) list(decoder *jsontext.Decoder, of *Shape, at *place) error {
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	element := place{parent: at, step: "[]", list: of}
	for decoder.PeekKind() != jsontext.KindEndArray {
		element.start, element.hashed = decoder.InputOffset(), false
		if err := u.value(decoder, of.element, &element); err != nil {
			return err
		}
		element.index++
	}
	_, err := decoder.ReadToken()
	return err
}

// keyOf returns the value of the key of a list's element, and nil if it has none. The text starts at the element, or at the comma before
// it.
func (s *Shape) keyOf(text jsontext.Value) jsontext.Value {
	if s.key == "" {
		return nil
	}
	decoder := NewDecoder(bytes.TrimLeft(text, ", \t\r\n"))
	if start, err := decoder.ReadToken(); err != nil || start.Kind() != jsontext.KindBeginObject {
		return nil
	}
	for decoder.PeekKind() != jsontext.KindEndObject {
		name, err := ReadName(decoder)
		if err != nil {
			return nil
		}
		if string(name) == s.key {
			key, _ := decoder.ReadValue()
			return key
		}
		if decoder.SkipValue() != nil {
			return nil
		}
	}
	return nil
}

// member reads a member of an object, with fixed names or with any.
func (u *unknown) member(decoder *jsontext.Decoder, object *Shape, at *place) error {
	name, err := ReadName(decoder)
	if err != nil {
		return err
	}
	if object.fields == nil {
		if !object.element.holds(decoder.PeekKind()) {
			return decoder.SkipValue()
		}
		return u.value(decoder, object.element, &place{parent: at, step: "[*]", key: string(name)})
	}
	field, known := object.fields[string(name)]
	switch {
	case !known:
		return u.add(decoder, at.child(string(name)))
	case !field.shape.holds(decoder.PeekKind()):
		return decoder.SkipValue() // most members: no place is made for them
	}
	return u.value(decoder, field.shape, at.child(field.name))
}

// UnknownChanges returns the paths of the fields that differ between the objects of a write, and that the shape of the object does not
// have, sorted, each once. It ignores metadata.managedFields, which the API server computes. It returns an error if a part is not
// well-formed, or ErrTooManyUnknown.
func (v *View) UnknownChanges(of *Shape) ([]string, error) {
	seed := maphash.MakeSeed()
	old, updated := unknown{seed: seed}, unknown{seed: seed}
	differences := v.differencesIn(allParts &^ (1 << managedFields))
	for i := range differences {
		d := &differences[i]
		if d.IsManagedFields() || d.isCovered(of) {
			continue // the API server's own, or nothing unknown
		}
		if err := errors.Join(old.read(d, d.Old, of), updated.read(d, d.Updated, of)); err != nil {
			return nil, err
		}
	}
	var paths []string
	for at, field := range updated.fields {
		if before, had := old.fields[at]; !had || before.value != field.value {
			paths = append(paths, field.path)
		}
	}
	for at, field := range old.fields {
		if _, has := updated.fields[at]; !has {
			paths = append(paths, field.path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}
