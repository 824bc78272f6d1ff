// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"regexp"
	"strconv"
	"strings"
)

// FewOverloads returns an expression with the same value that an API server compiles in less time. The type checker of CEL tries each
// overload of an operator, and copies its table of types for each: > and <= have 14, the division has 3, and != and == have one. So a size
// is divided by the bound, and a comparison of quantities, which is -1, 0 or 1, is not 1.
func FewOverloads(e string) string {
	const behind = `( (\|\||&&|\?|:) |[\])},]|$)` // of an operand: after an arithmetic operator, the bound would be a part of one
	greater, atMost := regexp.MustCompile(`^\) > (\d+)`+behind), regexp.MustCompile(`^\) <= (\d+)`+behind)
	const size, compares = "size(", ".compareTo("
	var b strings.Builder
	// The ends of the calls around a place, with what replaces the comparison behind each.
	ends := map[int]string{}
	skip := map[int]int{}
	for i := 0; i < len(e); i++ {
		switch {
		case e[i] == '\'':
			end := min(endOfLiteral(e, i), len(e)-1)
			b.WriteString(e[i:end])
			i = end
		case strings.HasPrefix(e[i:], size) && beginsProduct(e[:i]):
			end := closing(e, i+len(size))
			if m := greater.FindStringSubmatch(e[end:]); m != nil {
				ends[end], skip[end] = ") / "+next(m[1])+" != 0", len(") > "+m[1])
			} else if m := atMost.FindStringSubmatch(e[end:]); m != nil {
				ends[end], skip[end] = ") / "+next(m[1])+" == 0", len(") <= "+m[1])
			}
		case strings.HasPrefix(e[i:], compares):
			end := closing(e, i+len(compares))
			if comparison := ") <= 0"; strings.HasPrefix(e[end:], comparison) {
				ends[end], skip[end] = ") != 1", len(comparison)
			}
		}
		if by, is := ends[i]; is {
			b.WriteString(by)
			i += skip[i] - 1
			continue
		}
		b.WriteByte(e[i])
	}
	return b.String()
}

// beginsProduct reports whether what follows a text may be the only operand, or the last factor, of the left side of a comparison.
func beginsProduct(before string) bool {
	trimmed := strings.TrimRight(before, " ")
	switch {
	case trimmed == "":
		return true
	case len(trimmed) < len(before):
		return !strings.HasSuffix(trimmed, "+") && !strings.HasSuffix(trimmed, "-")
	}
	return strings.ContainsAny(trimmed[len(trimmed)-1:], "([{!")
}

// next returns the number after one in decimal digits.
func next(digits string) string {
	n, err := strconv.Atoi(digits)
	if err != nil {
		panic(err) // no expression has a number that an int cannot have
	}
	return number(n + 1)
}
