package policy

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

// maxPatternLength is the length of the longest label key: a DNS subdomain (253), a slash and a name (63).
const maxPatternLength = 317

// pattern is a compiled v1alpha1.Pattern: the literal parts between the asterisks. One part means an exact match.
type pattern []string

// match takes time linear in the length of s: each part is searched for once, from where the last one ended.
func (p pattern) match(s string) bool {
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
func (p pattern) isAny() bool {
	return len(p) > 1 && !slices.ContainsFunc(p, func(part string) bool { return part != "" })
}

// patterns matches a string that one of its patterns matches; an empty one matches nothing.
type patterns []pattern

func (ps patterns) match(s string) bool {
	for _, p := range ps {
		if p.match(s) {
			return true
		}
	}
	return false
}

// matchNamed is match without the patterns that match everything.
func (ps patterns) matchNamed(s string) bool {
	return slices.ContainsFunc(ps, func(p pattern) bool { return !p.isAny() && p.match(s) })
}

// Matcher returns a function that reports whether one of the patterns matches a string, for commands that ask for names
// in the way policies do. Errors name the pattern under at.
func Matcher(list []v1alpha1.Pattern, at *field.Path) (func(string) bool, field.ErrorList) {
	ps, errs := compilePatterns(list, len(list), at)
	return ps.match, errs
}

// compilePattern compiles one pattern and repeats the schema's checks, for policies that did not pass the API server.
func compilePattern(p v1alpha1.Pattern, at *field.Path) (pattern, field.ErrorList) {
	s := string(p)
	switch {
	case s == "":
		return nil, field.ErrorList{field.Invalid(at, s, "must not be empty")}
	case len(s) > maxPatternLength:
		return nil, field.ErrorList{field.TooLong(at, "", maxPatternLength)}
	}
	for _, c := range s {
		if c <= ' ' || c > '~' {
			return nil, field.ErrorList{field.Invalid(at, s, "must be printable ASCII without spaces")}
		}
	}
	return strings.Split(s, "*"), nil
}

// compilePatterns compiles a list of at most limit patterns.
func compilePatterns(list []v1alpha1.Pattern, limit int, at *field.Path) (patterns, field.ErrorList) {
	if errs := checkLength(len(list), limit, at); errs != nil {
		return nil, errs
	}
	var errs field.ErrorList
	var ps patterns
	seen := make(map[v1alpha1.Pattern]bool, len(list))
	for i, p := range list {
		compiled, bad := compilePattern(p, at.Index(i))
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
