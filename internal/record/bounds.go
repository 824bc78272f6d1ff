// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

const (
	// MaxValue is the maximum length of a value of a record, in bytes of JSON: escapes count.
	MaxValue = 256

	// maxKeys is more than a line has besides its bounded values: keys, punctuation, time, numbers.
	maxKeys = 512
	// maxViolationKeys is more than a violation has besides its bounded values.
	maxViolationKeys = 128
)

// bounds counts the bytes that the values of one line take, so that the line is bounded whatever they contain. The parts before
// the violations take at most 1,600 bytes and each violation at most 1,040, so the first always fits.
type bounds struct {
	used int
	cut  bool
}

// value bounds a value to limit bytes of JSON and makes it printable.
func (b *bounds) value(s string, limit int) string {
	s, size, cut := text.BoundSize(s, limit)
	b.used += size
	b.cut = b.cut || cut
	return s
}

func (b *bounds) violation(v policy.PolicyViolation) Violation {
	b.used += maxViolationKeys
	return Violation{
		Policy:     b.value(v.Policy, MaxValue),
		Generation: v.Generation,
		Rule:       b.value(string(v.Rule), 64),
		Field:      b.value(v.Field, MaxValue),
		Reason:     b.value(v.Rule.Reason(), 64),
		Detail:     b.value(v.Detail, MaxValue),
		Action:     b.value(string(v.Action), 16),
	}
}
