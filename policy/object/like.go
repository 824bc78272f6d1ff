// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ReadLike reads the object at the beginning of a text if it is like another one that has been read: if it has the same parts in the same
// order, with nothing but the punctuation of JSON between them. A part that has the same bytes as in the other object is not checked
// again. ReadLike returns the bytes of the text that hold the object, and its parts, and false if the object is not like the other one,
// or not well-formed: [ReadObject] tells which. It resets the decoder.
func ReadLike(decoder *jsontext.Decoder, text []byte, other Parts) ([]byte, Parts, bool) {
	l := likeReader{text: text, decoder: decoder, parts: make(Parts, 0, len(other))}
	if !l.all(other) {
		return nil, nil, false
	}
	return text[:l.at:l.at], l.parts, true
}

// likeReader reads an object that is like another one.
type likeReader struct {
	text    []byte
	at      int
	decoder *jsontext.Decoder
	parts   Parts
}

func (l *likeReader) all(other Parts) bool {
	if !l.take("{") {
		return false
	}
	section, follows := "", false
	for i := range other {
		p := &other[i]
		if p.section != section && section != "" {
			if !l.take("}") {
				return false
			}
			section, follows = "", true
		}
		if p.section != section {
			if follows && !l.take(",") || !l.name(p.section) || !l.take("{") {
				return false
			}
			section, follows = p.section, false
		}
		if follows && !l.take(",") || !l.part(p) {
			return false
		}
		follows = true
	}
	return (section == "" || l.take("}")) && l.take("}")
}

// take reads a text.
func (l *likeReader) take(text string) bool {
	if len(l.text)-l.at < len(text) || string(l.text[l.at:l.at+len(text)]) != text {
		return false
	}
	l.at += len(text)
	return true
}

// name reads the name of a member, which has no escapes, and the colon.
func (l *likeReader) name(name string) bool {
	escaped := strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' })
	return !escaped && l.take(`"`) && l.take(name) && l.take(`":`)
}

// part reads a part, given the part of the other object.
func (l *likeReader) part(other *part) bool {
	if other.section == "" && isSection(other.name) {
		return false // null there, but maybe not here
	}
	if !l.name(other.name) {
		return false
	}
	read := part{id: other.id, section: other.section, name: other.name}
	rest := l.text[l.at:]
	if n := len(other.value); n < len(rest) && (rest[n] == ',' || rest[n] == '}') && bytes.Equal(rest[:n], other.value) {
		read.value, read.elements = rest[:n:n], other.elements
		l.at += n
	} else {
		l.decoder.Reset(bytes.NewBuffer(rest))
		s := splitter{body: rest, decoder: l.decoder}
		if s.value(&read) != nil {
			return false
		}
		l.at += int(l.decoder.InputOffset())
	}
	l.parts = append(l.parts, read)
	return true
}
