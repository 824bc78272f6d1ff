// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Matches says that one of the patterns matches a text, as in package pattern: an asterisk stands for any run of characters. Only a
// pattern that needs a regular expression has one, because these cost most.
func Matches[P ~string](text string, patterns []P) string {
	var exact, prefixes, suffixes, parts, ends, others []string
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
			if e := matchesEnds(text, p); e != "" {
				ends = append(ends, e)
			} else {
				others = append(others, expressionOf(p))
			}
		case p[0] != '*':
			prefixes = append(prefixes, inner)
		case p[len(p)-1] != '*':
			suffixes = append(suffixes, inner)
		default:
			parts = append(parts, inner)
		}
	}
	either := []string{
		In(text, exact...), hasPrefix(text, prefixes), hasSuffix(text, suffixes), anyOf(text, "contains", parts), Or(ends...),
	}
	if len(others) > 0 {
		either = append(either, text+".matches("+Quote("^(?s:"+strings.Join(others, "|")+")$")+")")
	}
	return Or(either...)
}

// matchesEnds says that a text matches a pattern with one asterisk, or several together, that is not at an end. It is empty for others.
func matchesEnds(text, pattern string) string {
	first, last := strings.IndexByte(pattern, '*'), strings.LastIndexByte(pattern, '*')
	prefix, suffix := pattern[:first], pattern[last+1:]
	if prefix == "" || suffix == "" || strings.Trim(pattern[first:last], "*") != "" {
		return ""
	}
	ends := []string{text + ".startsWith(" + Quote(prefix) + ")", text + ".endsWith(" + Quote(suffix) + ")"}
	for n := range min(len(prefix), len(suffix)) {
		if strings.HasSuffix(prefix, suffix[:n+1]) { // both could be the same part of the text
			ends = append(ends, "size("+text+") >= "+number(len(prefix+suffix)))
			break
		}
	}
	return And(ends...)
}

// What is compared with a list of texts costs less than with each of them, if there are many: as many as these.
const (
	manyDomains = 6 // that end at the first slash
	manyOfSize  = 8 // that have the same length
)

// hasPrefix says that a text begins with one of others.
func hasPrefix(text string, prefixes []string) string {
	var domains, rest []string
	for _, p := range prefixes {
		if strings.IndexByte(p, '/') == len(p)-1 {
			domains = append(domains, p)
		} else {
			rest = append(rest, p)
		}
	}
	if len(domains) < manyDomains {
		return bySize(text, "startsWith", prefixes)
	}
	return Or(text+".substring(0, "+text+".indexOf('/') + 1) in "+List(domains...), bySize(text, "startsWith", rest))
}

// hasSuffix says that a text ends with one of others.
func hasSuffix(text string, suffixes []string) string { return bySize(text, "endsWith", suffixes) }

// bySize says that a text begins, or ends, with one of others. It compares those of the same length at once.
func bySize(text, function string, others []string) string {
	sizes := map[int][]string{}
	var order []int
	for _, other := range others {
		n := utf8.RuneCountInString(other)
		if sizes[n] == nil {
			order = append(order, n)
		}
		sizes[n] = append(sizes[n], other)
	}
	var either, rest []string
	for _, n := range order {
		if len(sizes[n]) < manyOfSize {
			rest = append(rest, sizes[n]...)
			continue
		}
		part := text + ".substring(0, " + number(n) + ")"
		if function == "endsWith" {
			part = text + ".substring(size(" + text + ") - " + number(n) + ")"
		}
		either = append(either, And("size("+text+") >= "+number(n), part+" in "+List(sizes[n]...)))
	}
	return Or(append(either, anyOf(text, function, rest))...)
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
