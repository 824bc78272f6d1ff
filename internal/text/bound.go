// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package text

import "strings"

// Bound makes a text [Printable] and cuts it to at most limit bytes in JSON. A text that was cut ends in "...".
func Bound(s string, limit int) string {
	s, _, _ = BoundSize(s, limit)
	return s
}

// BoundSize is [Bound]. It also returns how many bytes the result takes in JSON at most, whichever encoder writes it, and
// whether the text was cut.
func BoundSize(s string, limit int) (bounded string, size int, cut bool) {
	if size, plain := plainSize(s, limit); plain {
		return s, size, false
	}
	if limit < len(mark) {
		bounded = Cut(Printable(s), limit)
		return bounded, len(bounded), true
	}
	var out strings.Builder
	keep, keepSize := 0, 0 // where to cut so that the mark still fits
	for i, width := 0, 0; i < len(s); i += width {
		var shown string
		shown, width = escaped(s[i:])
		for _, c := range []byte(shown) {
			size += encodedSize(c)
		}
		if size > limit {
			return out.String()[:keep] + mark, keepSize + len(mark), true
		}
		out.WriteString(shown)
		if size <= limit-len(mark) {
			keep, keepSize = out.Len(), size
		}
	}
	return out.String(), size, false
}

// plainSize is the encoded size of printable ASCII that fits in limit bytes, as almost all values do.
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

// encodedSize is how many bytes a byte of printable text takes in JSON. Some encoders write <, > and & as \u003c and so on.
func encodedSize(c byte) int {
	switch c {
	case '"', '\\':
		return 2
	case '<', '>', '&':
		return 6
	}
	return 1
}
