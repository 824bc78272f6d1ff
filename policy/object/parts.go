// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Parts are the members of an object's metadata, spec and status, and its other members.
type Parts []part

// partFinder finds parts of an object by the parts of another object, in constant time for each.
type partFinder struct {
	parts  Parts
	byName map[partName]int // set if there are many parts, and one was not at the likely index
}

type partName struct{ section, name string }

// fewParts is the largest number of parts that are searched one by one. An object from an API server has no more.
const fewParts = 64

// find returns the part with the name of p, first looking at the likely index. It returns nil if there is no such part.
func (f *partFinder) find(p *part, likely int) *part {
	if likely < len(f.parts) && f.parts[likely].is(p) {
		return &f.parts[likely]
	}
	if len(f.parts) <= fewParts {
		for i := range f.parts {
			if f.parts[i].is(p) {
				return &f.parts[i]
			}
		}
		return nil
	}
	if f.byName == nil {
		f.byName = make(map[partName]int, len(f.parts))
		for i := range f.parts {
			f.byName[partName{f.parts[i].section, f.parts[i].name}] = i
		}
	}
	if i, has := f.byName[partName{p.section, p.name}]; has {
		return &f.parts[i]
	}
	return nil
}

// find returns the part with an ID, and nil if the object does not have it.
func (ps Parts) find(id partID) *part {
	for i := range ps {
		if ps[i].id == id {
			return &ps[i]
		}
	}
	return nil
}

// value returns the value of the part with an ID, and nil if the object does not have it.
func (ps Parts) value(id partID) jsontext.Value {
	if p := ps.find(id); p != nil {
		return p.value
	}
	return nil
}

// NewDecoder returns a decoder for a part, or for a value in it. It does not check for duplicate names, because splitting the object has.
func NewDecoder(value jsontext.Value) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(value), jsontext.AllowDuplicateNames(true))
}

// ReadName reads the name of a member of a JSON object without copying it. The name is valid until the next read.
func ReadName(decoder *jsontext.Decoder) ([]byte, error) {
	quoted, err := decoder.ReadValue()
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(quoted, '\\') >= 0 {
		return jsontext.AppendUnquote(nil, quoted)
	}
	return quoted[1 : len(quoted)-1], nil
}

// usualParts is the initial capacity for parts.
const usualParts = 32

// maxParts is the largest number of parts of an object. The API server knows about a hundred members, and drops others.
const maxParts = 4096

// ReadObject reads an object from a decoder of the body, and returns the bytes of the body that hold it, and its parts. Both refer to
// the body. It returns an error if the object is not well-formed, has a duplicate name anywhere, or has more than 4096 parts.
func ReadObject(decoder *jsontext.Decoder, body []byte) ([]byte, Parts, error) {
	s := splitter{body: body, decoder: decoder, parts: make(Parts, 0, usualParts)}
	start, err := s.members("")
	if err != nil {
		return nil, nil, err
	}
	end := decoder.InputOffset()
	return body[start:end:end], s.parts, nil
}

// split splits an object. It returns an error if the object is missing, or for the reasons of [ReadObject].
func split(object []byte) (Parts, error) {
	if len(object) == 0 || bytes.Equal(object, []byte("null")) {
		return nil, errNoObject
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(object))
	_, parts, err := ReadObject(decoder, object)
	if err != nil {
		return nil, err
	}
	switch _, err := decoder.ReadToken(); {
	case err == nil:
		return nil, errors.New("must be one JSON object and nothing after it")
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return parts, nil
}

// splitter splits an object.
type splitter struct {
	body    []byte
	decoder *jsontext.Decoder
	parts   Parts
}

// members reads the members of the object, or of a section of it, and returns the offset of its first byte.
func (s *splitter) members(section string) (start int64, err error) {
	brace, err := s.decoder.ReadToken()
	if err != nil {
		return 0, err
	}
	if brace.Kind() != jsontext.KindBeginObject {
		return 0, fmt.Errorf("%s: must be a JSON object", cmp.Or(section, "the object"))
	}
	start = s.decoder.InputOffset() - 1
	for s.decoder.PeekKind() != jsontext.KindEndObject {
		name, err := ReadName(s.decoder)
		if err != nil {
			return 0, err
		}
		p := namedPart(section, name)
		if section == "" && isSection(p.name) && s.decoder.PeekKind() != jsontext.KindNull {
			if _, err := s.members(p.name); err != nil {
				return 0, err
			}
			continue
		}
		if len(s.parts) == maxParts {
			return 0, fmt.Errorf("%s: has too many members", cmp.Or(section, "the object"))
		}
		if err := s.value(&p); err != nil {
			return 0, err
		}
		s.parts = append(s.parts, p)
	}
	_, err = s.decoder.ReadToken()
	return start, err
}

// value reads the value of a part.
func (s *splitter) value(p *part) (err error) {
	if p.id.hasElements() && s.decoder.PeekKind() == jsontext.KindBeginArray {
		return s.list(p)
	}
	p.value, err = s.next()
	return err
}

// next reads the next value.
func (s *splitter) next() (jsontext.Value, error) {
	value, err := s.decoder.ReadValue()
	end := s.decoder.InputOffset()
	return s.body[end-int64(len(value)) : end : end], err
}

const (
	// usualElements is the initial capacity for the elements of a list.
	usualElements = 8
	// maxElements is the largest number of elements that are kept. A pod has fewer containers, and an object fewer conditions.
	maxElements = 1024
)

// list reads a list, and keeps its elements unless there are too many.
func (s *splitter) list(p *part) error {
	if _, err := s.decoder.ReadToken(); err != nil {
		return err
	}
	start := s.decoder.InputOffset() - 1
	elements := make([]jsontext.Value, 0, usualElements)
	for s.decoder.PeekKind() != jsontext.KindEndArray {
		element, err := s.next()
		if err != nil {
			return err
		}
		if len(elements) <= maxElements {
			elements = append(elements, element)
		}
	}
	_, err := s.decoder.ReadToken()
	end := s.decoder.InputOffset()
	p.value = s.body[start:end:end]
	if len(elements) <= maxElements {
		p.elements = elements
	}
	return err
}

// hasElements reports whether rules read a part by its elements.
func (id partID) hasElements() bool {
	switch id {
	case statusConditions, statusContainerStatuses, statusInitContainerStatuses, statusEphemeralContainerStatuses:
		return true
	}
	return false
}

var errNoList = errors.New("must be a list")

// list returns the elements of a list, none if it is null.
func (p *part) list() ([]jsontext.Value, error) {
	if p.elements != nil {
		return p.elements, nil
	}
	c := cursor{text: p.value}
	switch c.kind() {
	case jsontext.KindNull:
		return nil, nil
	case jsontext.KindBeginArray:
	default:
		return nil, errNoList
	}
	elements := []jsontext.Value{}
	for c.enter(); c.more(); {
		elements = append(elements, c.value())
	}
	return elements, nil
}

func isSection(name string) bool { return name == "metadata" || name == "spec" || name == "status" }
