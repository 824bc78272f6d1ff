// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package text bounds and quotes text that others wrote, for messages.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxQuoted is how many characters of one value a message shows.
const MaxQuoted = 128

// maxListed is how many values QuoteAll shows.
const maxListed = 8

// Quote quotes text that a kubelet may have chosen, cut at 128 characters. Control characters, invalid UTF-8 and whatever else
// does not print are escaped.
func Quote(s string) string {
	n := 0
	for i := range s {
		if n == MaxQuoted {
			return strconv.Quote(s[:i]) + "..."
		}
		n++
	}
	return strconv.Quote(s)
}

// QuoteAll quotes up to 8 values and counts the rest.
func QuoteAll(values []string) string {
	var b strings.Builder
	for i, v := range values {
		if i == maxListed {
			fmt.Fprintf(&b, " and %d more", len(values)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(Quote(v))
	}
	return b.String()
}

// Cut shortens a message to at most limit bytes, at a character.
func Cut(s string, limit int) string {
	const mark = "..."
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len(mark)]
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) {
		s = s[:len(s)-1]
	}
	return s + mark
}

// Escape escapes what does not print in a line of text, such as control characters and line breaks. Invalid UTF-8 becomes U+FFFD.
func Escape(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
