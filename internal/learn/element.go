// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Element is the least that one field of a policy must have for a part of a write to be allowed.
type Element struct {
	Field  string `json:"field"`            // path below spec, such as nodes.annotations.allowed
	Key    string `json:"key,omitempty"`    // what a list or a map is given, such as the key of an annotation, or the value of a choice
	Value  string `json:"value,omitempty"`  // of a taint; empty: any
	Effect string `json:"effect,omitempty"` // of a taint
	Max    int64  `json:"max,omitempty"`    // a bound
}

// signature is a text that is the same for equal elements only.
func (e Element) signature() string {
	return fmt.Sprintf("%q %q %q %q %d", e.Field, e.Key, e.Value, e.Effect, e.Max)
}

// withoutBound is what elements have in common that differ in their bounds only.
func (e Element) withoutBound() Element {
	e.Max = 0
	return e
}

func compareElements(a, b Element) int {
	return cmp.Or(
		strings.Compare(a.Field, b.Field), strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value),
		strings.Compare(a.Effect, b.Effect), cmp.Compare(a.Max, b.Max),
	)
}

// sorted returns the elements in their order, each once.
func sorted(elements []Element) []Element {
	slices.SortFunc(elements, compareElements)
	return slices.Compact(elements)
}

// signatureOf is the signature of several elements.
func signatureOf(elements []Element) string {
	var b strings.Builder
	for _, e := range elements {
		b.WriteString(e.signature())
		b.WriteByte('\n')
	}
	return b.String()
}
