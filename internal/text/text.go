// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package text bounds, escapes and quotes foreign text: everything that a kubelet, the author of a policy or a forged log may have
// chosen. [Quote] is for values in messages, [Bound] for values of records and logs, [Printable] for text that is long on purpose,
// and [Cut] for messages that consist of such parts.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// MaxQuoted is the maximum number of characters that [Quote] shows of one value.
	MaxQuoted = 128

	// maxListed is the maximum number of values that QuoteAll shows.
	maxListed = 8

	// mark ends what was cut.
	mark = "..."
)

// Quote quotes a value, cut at 128 characters. It escapes what does not print: control characters, changes of direction and
// invalid UTF-8.
func Quote(s string) string {
	n := 0
	for i := range s {
		if n == MaxQuoted {
			return strconv.Quote(s[:i]) + mark
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

// Cut shortens a text to at most limit bytes. It does not cut a character in half; a text that was cut ends in "...".
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	if limit < len(mark) {
		return mark[:max(limit, 0)]
	}
	s = s[:limit-len(mark)]
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) {
		s = s[:len(s)-1]
	}
	return s + mark
}

// Printable writes what does not print as a Go escape, such as \u2028 or \x1b: it can neither begin a new line nor act on a
// terminal. It does not bound the text.
func Printable(s string) string {
	plain := 0
	for plain < len(s) && s[plain] >= ' ' && s[plain] <= '~' {
		plain++
	}
	if plain == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:plain])
	for i, width := plain, 0; i < len(s); i += width {
		var shown string
		shown, width = escaped(s[i:])
		b.WriteString(shown)
	}
	return b.String()
}

// escaped returns the first character of a text, as an escape if it does not print, and its length in bytes.
func escaped(s string) (shown string, width int) {
	r, width := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && width == 1 || !strconv.IsPrint(r) {
		quoted := strconv.Quote(s[:width])
		return quoted[1 : len(quoted)-1], width
	}
	return s[:width], width
}
