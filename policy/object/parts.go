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

// Parts are an object taken apart, one level below its metadata, spec and status. They are how little of it has to be decoded:
// a part that is byte for byte what it was before is decoded once for both objects, or not at all.
type Parts []part

// partFinder finds the parts that another object has, each in the same time however many there are.
type partFinder struct {
	parts  Parts
	byName map[partName]int // of many parts, once one is not where it is likely to be
}

type partName struct{ section, name string }

// fewParts is up to how many parts are looked through one by one. An object that an API server has read has no more.
const fewParts = 64

// find returns the part with the name of another one, at the likely index or elsewhere; nil if there is none.
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

// find returns the part with an ID; nil if the object does not have it.
func (ps Parts) find(id partID) *part {
	for i := range ps {
		if ps[i].id == id {
			return &ps[i]
		}
	}
	return nil
}

// value returns the value of the part with an ID; nil if the object does not have it.
func (ps Parts) value(id partID) jsontext.Value {
	if p := ps.find(id); p != nil {
		return p.value
	}
	return nil
}

// NewDecoder reads a part, or something in it. That it has no duplicate names is known since the object was taken apart.
func NewDecoder(value jsontext.Value) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(value), jsontext.AllowDuplicateNames(true))
}

// ReadName reads the name of an object member without copying it. The name is valid until the next read.
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

// maxParts is how many parts of an object have room from the start.
const maxParts = 32

// mostParts is how many parts an object may have. The API server drops members that it does not know, and knows about a
// hundred.
const mostParts = 4096

// ReadObject reads an object from a decoder of the body and returns the part of the body that it is, and its own parts. It
// returns an error if the object is not well-formed or has a duplicate name anywhere.
func ReadObject(decoder *jsontext.Decoder, body []byte) ([]byte, Parts, error) {
	s := splitter{body: body, decoder: decoder, parts: make(Parts, 0, maxParts)}
	start, err := s.members("")
	if err != nil {
		return nil, nil, err
	}
	end := decoder.InputOffset()
	return body[start:end:end], s.parts, nil
}

// split takes an object apart. It returns an error if it is missing, or for the reasons of [ReadObject].
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

// splitter is an object while it is taken apart.
type splitter struct {
	body    []byte
	decoder *jsontext.Decoder
	parts   Parts
}

// members reads the members of the object, or of a section of it, and returns where it starts.
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
		if len(s.parts) == mostParts {
			return 0, fmt.Errorf("%s: has too many members", cmp.Or(section, "the object"))
		}
		value, err := s.decoder.ReadValue()
		if err != nil {
			return 0, err
		}
		end := s.decoder.InputOffset()
		p.value = s.body[end-int64(len(value)) : end : end]
		s.parts = append(s.parts, p)
	}
	_, err = s.decoder.ReadToken()
	return start, err
}

func isSection(name string) bool { return name == "metadata" || name == "spec" || name == "status" }
