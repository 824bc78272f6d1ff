// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// sameValue reports whether two values are equal. Absent and null are equal, and the order of names does not matter. Numbers are compared
// as text, because an API server always writes a number in the same way.
func sameValue(a, b jsontext.Value) bool {
	if bytes.Equal(a, b) {
		return true
	}
	return bytes.Equal(Canonical(a), Canonical(b))
}

// SameOrEmpty reports whether two values are equal or both empty.
func SameOrEmpty(a, b jsontext.Value) bool { return sameValue(a, b) || IsEmpty(a) && IsEmpty(b) }

// IsEmpty reports whether a value is absent, null, an empty object or an empty list.
func IsEmpty(v jsontext.Value) bool {
	switch c := Canonical(v); string(c) {
	case "", "{}", "[]":
		return true
	}
	return false
}

// Canonical returns a value in a form in which equal values have equal bytes. The form of null is nil.
func Canonical(v jsontext.Value) jsontext.Value {
	v = v.Clone()
	if len(v) > 0 && canonicalize(&v) != nil {
		return v
	}
	if string(v) == "null" {
		return nil
	}
	return v
}

// canonicalize sorts the names of objects and normalizes strings. It leaves numbers alone, since different large numbers are equal as
// floating-point numbers.
func canonicalize(v *jsontext.Value) error {
	return v.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false))
}

// SameObject reports whether two objects are equal except for the metadata that the API server manages: managedFields, resourceVersion
// and generation.
func SameObject(old, updated []byte) bool {
	before, errOld := withoutServerFields(old)
	after, errUpdated := withoutServerFields(updated)
	return errOld == nil && errUpdated == nil && bytes.Equal(before, after)
}

func withoutServerFields(object []byte) (jsontext.Value, error) {
	var parts map[string]jsontext.Value
	if err := json.Unmarshal(object, &parts); err != nil {
		return nil, err
	}
	var metadata map[string]jsontext.Value
	if err := json.Unmarshal(parts["metadata"], &metadata); err != nil {
		return nil, err
	}
	for _, name := range []string{"managedFields", "resourceVersion", "generation"} {
		delete(metadata, name)
	}
	encoded, err := json.Marshal(metadata)
	if err != nil {
		return nil, err
	}
	parts["metadata"] = encoded
	all, err := json.Marshal(parts)
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(all)
	return value, canonicalize(&value)
}
