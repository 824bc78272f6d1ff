// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// keepCut gives what is left of an event that ends too early. An API server writes who sent what before the bodies, the body of the
// request before that of the answer, and times and annotations last.
func (s *source) keepCut(data []byte, problem error) error {
	if !s.log.KeepCut || !isCut(data, problem) {
		return nil
	}
	e := beginningOf(data)
	if !e.isEvent() || e.Verb == "" || e.User.Username == "" || s.time.IsZero() {
		return nil
	}
	if e.Received.IsZero() {
		e.Received = s.time // it was logged next
	}
	return s.log.give(e, data, s.each)
}

// beginningOf reads the members of an event up to the one that is not whole.
func beginningOf(data []byte) *Event {
	e := &Event{Cut: true, Format: Events}
	whole := []byte{'{'}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(data), lenient())
	if _, err := decoder.ReadToken(); err != nil {
		return e
	}
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadValue()
		if err != nil {
			break
		}
		name = name.Clone()
		value, err := decoder.ReadValue()
		if err != nil {
			break
		}
		if len(whole) > 1 {
			whole = append(whole, ',')
		}
		whole = append(append(append(whole, name...), ':'), value...)
	}
	if err := json.Unmarshal(append(whole, '}'), e, lenient()); err != nil {
		return &Event{}
	}
	e.Cut, e.Format = true, Events
	switch {
	case e.RequestObject == nil:
		e.Level = "Metadata"
	case e.ResponseObject == nil:
		e.Level = "Request"
	}
	return e
}
