// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Comparisons of JSON that no type describes.

// sameValue reports whether two values say the same. Absent and null are the same; so are objects whose names are in another order.
// Numbers are compared as they are written: an API server writes equal ones alike.
func sameValue(a, b jsontext.Value) bool {
	if bytes.Equal(a, b) {
		return true
	}
	return bytes.Equal(Canonical(a), Canonical(b))
}

// SameOrEmpty is sameValue for objects and lists that say nothing if they are empty.
func SameOrEmpty(a, b jsontext.Value) bool { return sameValue(a, b) || IsEmpty(a) && IsEmpty(b) }

// IsEmpty reports whether a value is absent, null or an object or a list without anything in it.
func IsEmpty(v jsontext.Value) bool {
	switch c := Canonical(v); string(c) {
	case "", "{}", "[]":
		return true
	}
	return false
}

// Canonical returns a value in the form in which equal values have equal bytes; null is nil.
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

// canonicalize sorts the names of objects, and writes strings in one way. Numbers stay as they are: as floating-point numbers, large
// ones would be equal.
func canonicalize(v *jsontext.Value) error {
	return v.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false))
}

// SameObject reports whether two objects differ in nothing but what the API server itself keeps: managedFields,
// resourceVersion and generation.
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
