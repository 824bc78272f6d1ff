package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// part is a member of an object's metadata, spec or status, or, without a section, another member of the object.
type part struct {
	section, name string
	value         jsontext.Value // as it stands in the object
}

// Parts are an object taken apart, one level below its metadata, spec and status. They are how little of it has to be decoded:
// a part that is byte for byte what it was before is decoded once for both objects, or not at all.
type Parts []part

// find returns the value of a part; nil if the object has no such part.
func (ps Parts) find(section, name string) jsontext.Value {
	for i := range ps {
		if ps[i].name == name && ps[i].section == section {
			return ps[i].value
		}
	}
	return nil
}

// maxParts is how many parts of an object have room from the start.
const maxParts = 48

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
		token, err := s.decoder.ReadToken()
		if err != nil {
			return 0, err
		}
		name := token.String()
		if section == "" && isSection(name) && s.decoder.PeekKind() != jsontext.KindNull {
			if _, err := s.members(name); err != nil {
				return 0, err
			}
			continue
		}
		value, err := s.decoder.ReadValue()
		if err != nil {
			return 0, err
		}
		end := s.decoder.InputOffset()
		s.parts = append(s.parts, part{section, name, s.body[end-int64(len(value)) : end : end]})
	}
	_, err = s.decoder.ReadToken()
	return start, err
}

func isSection(name string) bool { return name == "metadata" || name == "spec" || name == "status" }

// decodable is an object of which parts are decoded.
type decodable[O any] interface {
	*O
	// field returns a pointer to the field of a part, or nil if no rule looks at it.
	field(section, name string) any
	// compared says that rules look at a part only to see what has changed in it.
	compared(section, name string) bool
	// keep keeps a part that has no field.
	keep(section, name string, value jsontext.Value)
}

// decodeChange decodes an update: what differs of both objects, and what is the same once, if rules may look at it.
func decodeChange[O any, T decodable[O]](old, updated T, oldParts, updatedParts Parts) error {
	if err := decodeParts(old, oldParts, updatedParts); err != nil {
		return fmt.Errorf("oldObject: %w", err)
	}
	for _, p := range updatedParts {
		if !bytes.Equal(p.value, oldParts.find(p.section, p.name)) {
			if err := decodePart(updated, p); err != nil {
				return fmt.Errorf("object: %w", err)
			}
			continue
		}
		if into := updated.field(p.section, p.name); into != nil {
			reflect.ValueOf(into).Elem().Set(reflect.ValueOf(old.field(p.section, p.name)).Elem())
		} else {
			updated.keep(p.section, p.name, p.value)
		}
	}
	return nil
}

// decodeParts decodes an object, but for what rules only compare and is the same in another object.
func decodeParts[O any, T decodable[O]](into T, from, other Parts) error {
	for _, p := range from {
		if into.compared(p.section, p.name) && bytes.Equal(p.value, other.find(p.section, p.name)) {
			continue
		}
		if err := decodePart(into, p); err != nil {
			return err
		}
	}
	return nil
}

func decodePart[O any, T decodable[O]](into T, p part) error {
	field := into.field(p.section, p.name)
	if field == nil {
		into.keep(p.section, p.name, p.value)
		return nil
	}
	if err := json.Unmarshal(p.value, field); err != nil {
		return fmt.Errorf("%s.%s: %w", p.section, p.name, err)
	}
	return nil
}
