package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxQuoted = 128 // characters of one value in a message
	maxListed = 8   // values in one detail
)

// quote quotes text that a kubelet may have chosen, cut at 128 characters. Control characters, invalid UTF-8 and whatever else
// does not print are escaped.
func quote(s string) string {
	n := 0
	for i := range s {
		if n == maxQuoted {
			return strconv.Quote(s[:i]) + "..."
		}
		n++
	}
	return strconv.Quote(s)
}

// quoteAll quotes up to 8 values and counts the rest.
func quoteAll(values []string) string {
	var b strings.Builder
	for i, v := range values {
		if i == maxListed {
			fmt.Fprintf(&b, " and %d more", len(values)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(v))
	}
	return b.String()
}

// cut shortens a message to at most limit bytes, at a character.
func cut(s string, limit int) string {
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
