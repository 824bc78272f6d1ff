// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

// maxKeyValueLength is the length of the longest v1alpha1.KeyValuePattern.
const maxKeyValueLength = 512

// KeyValue is a compiled v1alpha1.KeyValuePattern.
type KeyValue struct {
	key   Pattern
	value Pattern // nil: any value
}

// Match reports whether the pattern matches a label or an annotation. It takes time linear in the lengths of key and value.
func (p KeyValue) Match(key, value string) bool {
	return p.key.Match(key) && (p.value == nil || p.value.Match(value))
}

// KeyValues matches a label or an annotation that one of its patterns matches; an empty one matches nothing.
type KeyValues []KeyValue

// Match reports whether one of the patterns matches a label or an annotation.
func (ps KeyValues) Match(key, value string) bool {
	return slices.ContainsFunc(ps, func(p KeyValue) bool { return p.Match(key, value) })
}

// MatchNamed is Match without the patterns that match every key.
func (ps KeyValues) MatchNamed(key, value string) bool {
	return slices.ContainsFunc(ps, func(p KeyValue) bool { return !p.key.isAny() && p.Match(key, value) })
}

// ValueMatters reports whether one of the patterns allows or denies some values of a key only.
func (ps KeyValues) ValueMatters(key string) bool {
	return slices.ContainsFunc(ps, func(p KeyValue) bool { return p.value != nil && p.key.Match(key) })
}

// CompileKeyValue compiles one pattern and repeats the schema's checks, for policies that did not pass the API server.
func CompileKeyValue(p v1alpha1.KeyValuePattern, at *field.Path) (KeyValue, field.ErrorList) {
	source := string(p)
	if len(source) > maxKeyValueLength {
		return KeyValue{}, field.ErrorList{field.TooLong(at, "", maxKeyValueLength)}
	}
	key, value, hasValue := strings.Cut(source, "=")
	switch {
	case key == "":
		return KeyValue{}, field.ErrorList{field.Invalid(at, source, "must have a key")}
	case !isPrintable(key, '!'):
		return KeyValue{}, field.ErrorList{field.Invalid(at, source, "must be printable ASCII without spaces in the key")}
	case !isPrintable(value, ' '):
		return KeyValue{}, field.ErrorList{field.Invalid(at, source, "must be printable ASCII")}
	}
	compiled := KeyValue{key: strings.Split(key, "*")}
	if hasValue {
		compiled.value = strings.Split(value, "*")
	}
	return compiled, nil
}

// CompileKeyValues compiles a list of at most limit patterns.
func CompileKeyValues(list []v1alpha1.KeyValuePattern, limit int, at *field.Path) (KeyValues, field.ErrorList) {
	return compileList(list, limit, at, CompileKeyValue)
}
