// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// cursor walks JSON that is known to be well-formed, such as a part: splitting the object has checked it. It takes a fraction of the time
// of a decoder, which checks again. Of other text it makes nonsense, but it always ends.
type cursor struct {
	text jsontext.Value
	at   int
}

// kind returns the kind of the next value or name, of the end of the list or object, or of nothing.
func (c *cursor) kind() jsontext.Kind {
	for ; c.at < len(c.text); c.at++ {
		switch next := c.text[c.at]; next {
		case ' ', '\t', '\r', '\n', ',', ':':
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			return jsontext.KindNumber
		default:
			return jsontext.Kind(next)
		}
	}
	return jsontext.KindInvalid
}

// enter reads the beginning of a list or an object.
func (c *cursor) enter() { c.at++ }

// more reports whether the list or object has another element or member, and otherwise reads its end.
func (c *cursor) more() bool {
	switch c.kind() {
	case jsontext.KindEndArray, jsontext.KindEndObject:
		c.at++
		return false
	case jsontext.KindInvalid:
		return false
	}
	return true
}

// name reads the name of a member. It must be called only after more has returned true.
func (c *cursor) name() []byte {
	name, end := textAt(c.text, c.at+1)
	c.at = end
	if bytes.IndexByte(name, '\\') >= 0 {
		quoted := slices.Concat([]byte{'"'}, name, []byte{'"'})
		name, _ = jsontext.AppendUnquote(nil, quoted)
	}
	return name
}

// value reads a value.
func (c *cursor) value() jsontext.Value {
	c.kind()
	start := c.at
	c.skip()
	return c.text[start:c.at:c.at]
}

// skip reads a value that is not needed.
func (c *cursor) skip() { c.at = endOf(c.text, c.at) }

// endOf returns the offset behind the value that begins at or after an offset.
func endOf(text jsontext.Value, at int) int {
	for depth := 0; at < len(text); {
		switch text[at] {
		case '"':
			_, at = textAt(text, at+1)
		case '{', '[':
			depth++
			at++
			continue
		case '}', ']':
			depth--
			at++
		case ' ', '\t', '\r', '\n', ',', ':':
			at++
			continue
		default:
			at = endOfLiteral(text, at+1)
		}
		if depth <= 0 {
			return at
		}
	}
	return at
}

// endOfLiteral returns the offset behind a number, true, false or null, given an offset in it.
func endOfLiteral(text jsontext.Value, at int) int {
	for ; at < len(text); at++ {
		switch text[at] {
		case ' ', '\t', '\r', '\n', ',', '}', ']':
			return at
		}
	}
	return at
}

// memberOf returns the value of a member of an object, and nil if the value is not an object, or does not have the member.
func memberOf(value jsontext.Value, name string) jsontext.Value {
	c := cursor{text: value}
	if c.kind() != jsontext.KindBeginObject {
		return nil
	}
	for c.enter(); c.more(); c.skip() {
		if string(c.name()) == name {
			return c.value()
		}
	}
	return nil
}

var errNoName = errors.New("must be a list of objects that have names or types")

// nameIn returns the member of an object that identifies it, a string.
func nameIn(value jsontext.Value, member string) (string, error) {
	if value.Kind() != jsontext.KindBeginObject {
		return "", errNoName
	}
	quoted := memberOf(value, member)
	switch {
	case quoted == nil:
		return "", nil
	case quoted.Kind() != jsontext.KindString:
		return "", errNoName
	case bytes.IndexByte(quoted, '\\') < 0:
		return string(quoted[1 : len(quoted)-1]), nil
	}
	name, err := jsontext.AppendUnquote(nil, quoted)
	return string(name), err
}
