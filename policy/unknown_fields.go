package policy

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// shape is what the JSON of a Go type looks like, as far as its fields are concerned. A value of another kind than its shape,
// or of no shape, has no unknown fields.
type shape struct {
	fields  map[string]member // of an object with fixed names
	element *shape            // of a list, or of an object with any names
}

// member is a field of an object.
type member struct {
	name  string
	shape *shape
}

// shapes are made once for each type.
type shapes map[reflect.Type]*shape

func (all shapes) of(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if known, ok := all[t]; ok {
		return known
	}
	s := &shape{}
	all[t] = s
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return s // a quantity, a time: what is inside is one value
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Map:
		s.element = all.of(t.Elem())
	case reflect.Struct:
		s.fields = map[string]member{}
		all.addFields(s.fields, t)
	}
	return s
}

// addFields adds the fields of a struct, also those of embedded ones.
func (all shapes) addFields(to map[string]member, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		switch name, _, _ := strings.Cut(field.Tag.Get("json"), ","); {
		case name == "" && field.Anonymous:
			all.addFields(to, field.Type)
		case name != "" && name != "-":
			to[name] = member{name, all.of(field.Type)}
		}
	}
}

// unknown are the fields of an object that its shape does not have: their paths, with [] for elements of lists and [*] for
// keys of maps, and their values.
type unknown map[string]string

// place is where in an object something stands. Its path is put together only for what is unknown.
type place struct {
	parent *place // nil: the object itself
	step   string // such as .name or []
	name   string
}

func (p *place) path() string {
	if p == nil {
		return ""
	}
	return p.parent.path() + p.step + p.name
}

// read adds the unknown fields of a part. It returns an error if it is not well-formed.
func (u unknown) read(d *difference, value jsontext.Value, of *shape) error {
	if value == nil {
		return nil
	}
	at := (*place)(nil)
	if d.section != "" {
		of, at = of.fields[d.section].shape, &place{name: d.section}
	}
	decoder := decoderOf(value)
	if field, known := of.fields[d.name]; known {
		return u.value(decoder, field.shape, at.child(d.name))
	}
	return u.add(decoder, at.child(d.name))
}

// child is the place of a member of an object.
func (p *place) child(name string) *place {
	if p == nil {
		return &place{name: name}
	}
	return &place{parent: p, step: ".", name: name}
}

// add adds the value of an unknown field: all values at one path together, as lists may be reordered.
func (u unknown) add(decoder *jsontext.Decoder, at *place) error {
	value, err := decoder.ReadValue()
	if err == nil {
		u[at.path()] += string(value) + ";"
	}
	return err
}

// holds reports whether a value of a kind may have fields in it: it is an object, or a list, that the shape knows.
func (s *shape) holds(kind jsontext.Kind) bool {
	switch kind {
	case jsontext.KindBeginObject:
		return s.fields != nil || s.element != nil
	case jsontext.KindBeginArray:
		return s.fields == nil && s.element != nil
	}
	return false
}

func (u unknown) value(decoder *jsontext.Decoder, of *shape, at *place) error {
	kind := decoder.PeekKind()
	if !of.holds(kind) {
		return decoder.SkipValue()
	}
	isObject := kind == jsontext.KindBeginObject
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	elements := place{parent: at, step: "[]"}
	if isObject {
		elements.step = "[*]"
	}
	for next := decoder.PeekKind(); next != jsontext.KindEndObject && next != jsontext.KindEndArray; next = decoder.PeekKind() {
		var err error
		switch {
		case !isObject:
			err = u.value(decoder, of.element, &elements)
		case of.fields == nil:
			if err = decoder.SkipValue(); err == nil { // the name
				err = u.value(decoder, of.element, &elements)
			}
		default:
			err = u.member(decoder, of, at)
		}
		if err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
}

// member reads a member of an object.
func (u unknown) member(decoder *jsontext.Decoder, object *shape, at *place) error {
	name, err := ReadName(decoder)
	if err != nil {
		return err
	}
	field, known := object.fields[string(name)]
	switch {
	case !known:
		return u.add(decoder, &place{parent: at, step: ".", name: string(name)})
	case !field.shape.holds(decoder.PeekKind()):
		return decoder.SkipValue() // most members: no place is made for them
	}
	return u.value(decoder, field.shape, &place{parent: at, step: ".", name: field.name})
}

// unknownChanges has a violation for each unknown field that differs between the objects.
func unknownChanges(r *Request, of *shape) []Violation {
	differences := r.differences
	if !differences.known {
		differences = compare(r.OldParts, r.Parts) // a creation: all of it
	}
	old, updated := unknown{}, unknown{}
	for i := range differences.parts {
		d := &differences.parts[i]
		if d.id == managedFields {
			continue // the API server's own
		}
		if old.read(d, d.old, of) != nil || updated.read(d, d.updated, of) != nil {
			return []Violation{{Detail: "must be well-formed"}}
		}
	}
	changes := compareKeys(old, updated)
	paths := slices.Concat(changes.added, changes.changed, changes.removed)
	slices.Sort(paths)
	return appendViolation(nil, "", "must not change unknown field", paths)
}
