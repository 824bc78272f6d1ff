// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"noderestriction.plus/policy"
)

const (
	// MaxValue is the longest value of a record, in bytes, as encoded: escapes count.
	MaxValue = 256

	// maxKeys is more than what a line has beside its bounded values: keys, punctuation, time, numbers.
	maxKeys = 512
	// maxViolationKeys is more than what a violation has beside its bounded values.
	maxViolationKeys = 128

	mark = "..."
)

// bounds counts what the values of one line take, so that the line is bounded whatever they hold. The parts before the
// violations take at most 1,328 bytes and each violation at most 1,040, so the first always fits.
type bounds struct {
	used int
	cut  bool
}

// value bounds a value to limit bytes as encoded and makes it printable.
func (b *bounds) value(s string, limit int) string {
	s, size, cut := bound(s, limit)
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

// Bound cuts a text that somebody else may have chosen to limit bytes as encoded, and makes it printable.
func Bound(s string, limit int) string {
	s, _, _ = bound(s, limit)
	return s
}

// bound cuts a string so that it takes at most limit bytes in JSON, whichever encoder writes it, and returns how many
// it takes. What does not print is written as a Go escape, such as \u2028 or \x1b: it can neither begin a new line nor
// act on a terminal, even after a reader has decoded the JSON. A string that was cut ends in "...".
func bound(s string, limit int) (bounded string, size int, cut bool) {
	if size, plain := plainSize(s, limit); plain {
		return s, size, false
	}
	var out strings.Builder
	keep, keepSize := 0, 0 // where to cut so that the mark still fits
	for i, width := 0, 0; i < len(s); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(s[i:])
		text := s[i : i+width]
		if r == utf8.RuneError && width == 1 || !strconv.IsPrint(r) {
			quoted := strconv.Quote(text)
			text = quoted[1 : len(quoted)-1]
		}
		for _, c := range []byte(text) {
			size += encodedSize(c)
		}
		if size > limit {
			return out.String()[:keep] + mark, keepSize + len(mark), true
		}
		out.WriteString(text)
		if size <= limit-len(mark) {
			keep, keepSize = out.Len(), size
		}
	}
	return out.String(), size, false
}

// plainSize is the encoded size of a string of printable ASCII that fits in limit bytes, which almost all are.
func plainSize(s string, limit int) (size int, plain bool) {
	if len(s) > limit {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return 0, false
		}
		size += encodedSize(s[i])
	}
	return size, size <= limit
}

// encodedSize is how many bytes a byte of printable text takes in JSON. Some encoders write <, > and & as \u003c and so
// on.
func encodedSize(c byte) int {
	switch c {
	case '"', '\\':
		return 2
	case '<', '>', '&':
		return 6
	}
	return 1
}
