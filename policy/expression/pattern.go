// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"regexp"
	"slices"
	"strings"
)

// Matches says that one of the patterns matches a text, as in package pattern: an asterisk stands for any run of characters. Only a
// pattern that needs a regular expression has one, because these cost most.
func Matches[P ~string](text string, patterns []P) string {
	var exact, prefixes, suffixes, parts, others []string
	for _, pattern := range patterns {
		p := string(pattern)
		inner := strings.Trim(p, "*")
		switch {
		case p == "":
			exact = append(exact, p)
		case inner == "":
			return True
		case !strings.Contains(p, "*"):
			exact = append(exact, p)
		case strings.Contains(inner, "*"):
			others = append(others, expressionOf(p))
		case p[0] != '*':
			prefixes = append(prefixes, inner)
		case p[len(p)-1] != '*':
			suffixes = append(suffixes, inner)
		default:
			parts = append(parts, inner)
		}
	}
	either := []string{
		In(text, exact...), anyOf(text, "startsWith", prefixes), anyOf(text, "endsWith", suffixes), anyOf(text, "contains", parts),
	}
	if len(others) > 0 {
		either = append(either, text+".matches("+Quote("^(?s:"+strings.Join(others, "|")+")$")+")")
	}
	return Or(either...)
}

// anyOf says that a function is true for one of the arguments.
func anyOf(text, function string, arguments []string) string {
	switch len(arguments) {
	case 0:
		return False
	case 1:
		return text + "." + function + "(" + Quote(arguments[0]) + ")"
	}
	return Exists(List(arguments...), "p", text+"."+function+"(p)")
}

// expressionOf returns a pattern as a regular expression.
func expressionOf(pattern string) string {
	parts := strings.Split(pattern, "*")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return strings.Join(parts, ".*")
}

// MatchesPair says that one of the patterns matches a key and its value. What follows the first equals sign of a pattern is a pattern for
// the value.
func MatchesPair[P ~string](key, value string, patterns []P) string {
	var keys, order []string
	values := map[string][]string{}
	for _, p := range patterns {
		k, v, has := strings.Cut(string(p), "=")
		if !has {
			keys = append(keys, k)
			continue
		}
		if !slices.Contains(order, k) {
			order = append(order, k)
		}
		values[k] = append(values[k], v)
	}
	either := []string{Matches(key, keys)}
	for _, k := range order {
		either = append(either, And(Matches(key, []string{k}), Matches(value, values[k])))
	}
	return Or(either...)
}

// Named returns the patterns, or pairs of patterns, that do not match every key.
func Named[P ~string](patterns []P) []P {
	return slices.DeleteFunc(slices.Clone(patterns), func(p P) bool {
		key, _, _ := strings.Cut(string(p), "=")
		return key != "" && strings.Trim(key, "*") == ""
	})
}

// Exact returns the patterns, or pairs of patterns, without an asterisk in the key.
func Exact[P ~string](patterns []P) []P {
	return slices.DeleteFunc(slices.Clone(patterns), func(p P) bool {
		key, _, _ := strings.Cut(string(p), "=")
		return strings.Contains(key, "*")
	})
}
