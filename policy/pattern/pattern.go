// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

// maxPatternLength is the length of the longest label key: a DNS subdomain (253), a slash and a name (63).
const maxPatternLength = 317

// Pattern is a compiled v1alpha1.Pattern: the literal parts between its asterisks. A pattern of one part matches only that text.
type Pattern []string

// Match reports whether the pattern matches a string, in time linear in the length of s: each part is searched for once, behind the
// part before it.
func (p Pattern) Match(s string) bool {
	first, last := p[0], p[len(p)-1]
	if len(p) == 1 {
		return s == first
	}
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range p[1 : len(p)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// isAny reports whether the pattern matches every string.
func (p Pattern) isAny() bool {
	return len(p) > 1 && !slices.ContainsFunc(p, func(part string) bool { return part != "" })
}

// Patterns matches a string if one of its patterns does. Without patterns it matches no string.
type Patterns []Pattern

// Match reports whether one of the patterns matches a string.
func (ps Patterns) Match(s string) bool {
	for _, p := range ps {
		if p.Match(s) {
			return true
		}
	}
	return false
}

// MatchNamed reports whether a pattern other than * matches a string.
func (ps Patterns) MatchNamed(s string) bool {
	return slices.ContainsFunc(ps, func(p Pattern) bool { return !p.isAny() && p.Match(s) })
}

// Matcher returns a function that reports whether one of the patterns matches a string, for the arguments of commands. An error names the
// pattern, with its path under at.
func Matcher(list []v1alpha1.Pattern, at *field.Path) (func(string) bool, field.ErrorList) {
	ps, errs := CompileAll(list, len(list), at)
	return ps.Match, errs
}

// Compile compiles one pattern. It also validates what the schema validates, for policies that did not pass an API server.
func Compile(p v1alpha1.Pattern, at *field.Path) (Pattern, field.ErrorList) {
	s := string(p)
	switch {
	case s == "":
		return nil, field.ErrorList{field.Invalid(at, s, "must not be empty")}
	case len(s) > maxPatternLength:
		return nil, field.ErrorList{field.TooLong(at, "", maxPatternLength)}
	}
	if !isPrintable(s, '!') {
		return nil, field.ErrorList{field.Invalid(at, s, "must be printable ASCII without spaces")}
	}
	return strings.Split(s, "*"), nil
}

// isPrintable reports whether all characters are ASCII from the first, a space or what follows it, to the tilde.
func isPrintable(s string, first rune) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < first || c > '~' })
}

// CompileAll compiles a list of at most limit patterns.
func CompileAll(list []v1alpha1.Pattern, limit int, at *field.Path) (Patterns, field.ErrorList) {
	return compileList(list, limit, at, Compile)
}

// compileList compiles each pattern of a list that the schema bounds.
func compileList[P ~string, C any](
	list []P, limit int, at *field.Path, compile func(P, *field.Path) (C, field.ErrorList),
) ([]C, field.ErrorList) {
	if errs := CheckList(list, limit, at); errs != nil {
		return nil, errs
	}
	var errs field.ErrorList
	var ps []C
	seen := make(map[P]bool, len(list))
	for i, p := range list {
		compiled, bad := compile(p, at.Index(i))
		switch {
		case len(bad) > 0:
			errs = append(errs, bad...)
		case seen[p]:
			errs = append(errs, field.Duplicate(at.Index(i), p))
		default:
			ps = append(ps, compiled)
		}
		seen[p] = true
	}
	return ps, errs
}
