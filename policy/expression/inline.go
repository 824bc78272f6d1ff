// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"regexp"
	"slices"
	"strings"
)

// Beyond says, after expressions of an inline scope were made, that one of the sizes that they compare is beyond its bound. It is false if
// one of these is in an element of a list, where nothing else can compare it.
func (s *Scope) Beyond() (beyond string, known bool) {
	for _, e := range s.beyond {
		if !comparesVariables(e) {
			return False, false
		}
	}
	return s.Bind(Or(s.beyond...)), true
}

func comparesVariables(e string) bool {
	return regexp.MustCompile(`^size\(_\w+\) > \d+( \|\| size\(_\w+\) > \d+)*$`).MatchString(e)
}

// noteBound keeps a comparison of sizes with bounds.
func (s *Scope) noteBound(beyond string) {
	if s.Inline && beyond != False && !slices.Contains(s.beyond, beyond) {
		s.beyond = append(s.beyond, beyond)
	}
}

// Violated says that a write violates the rule of an expression.
func (e *Expression) Violated() string {
	if e.Names != "" {
		return NotEmpty(e.Names)
	}
	return e.Violates
}

// Bind returns an expression of an inline scope with the variables that it uses, each as the only element of a list over which it iterates.
// They are evaluated even if the expression does not read them, so none of their own iterations may be unbounded. What is read once, and
// not in an iteration, is put in the place of its variable.
func (s *Scope) Bind(e string) string {
	for _, v := range slices.Backward(s.variables) {
		switch uses := usesOf(e, bound(v.Name)); {
		case uses == 0:
		case uses == 1 && !repeats(e, bound(v.Name)):
			by := v.Expression
			if !s.isField(v.Name) {
				by = "(" + by + ")"
			}
			e = replaceWord(e, bound(v.Name), by)
		default:
			e = "[" + v.Expression + "].exists(" + bound(v.Name) + ", " + e + ")"
		}
	}
	return e
}

func (s *Scope) isField(name string) bool {
	_, is := s.fields[name]
	return is
}

// Compared returns the paths of the fields that an expression of an inline scope reads from both objects, sorted. An expression that
// evaluates changes is false if all of them are equal. It is empty for a creation and a deletion.
func (s *Scope) Compared(e string) []string {
	read := map[field]bool{}
	for _, v := range slices.Backward(s.variables) {
		if usesOf(e, bound(v.Name)) == 0 {
			continue
		}
		if f, is := s.fields[v.Name]; is {
			read[f] = true
		} else {
			e += " " + v.Expression
		}
	}
	var paths []string
	for f := range read {
		if f.old && read[field{f.path, false}] {
			paths = append(paths, f.path)
		}
	}
	slices.Sort(paths)
	return paths
}

// Differ says that one of the fields, which are paths in the objects, differs between the stored and the new object.
func Differ(paths ...string) string {
	switch len(paths) {
	case 0:
		return False
	case 1:
		return optional("object", paths[0]) + " != " + optional("oldObject", paths[0])
	}
	old, updated := make([]string, len(paths)), make([]string, len(paths))
	for i, path := range paths {
		old[i], updated[i] = optional("oldObject", path), optional("object", path)
	}
	return "[" + strings.Join(updated, ", ") + "] != [" + strings.Join(old, ", ") + "]"
}

// usesOf counts how often a word occurs in an expression, outside of literals.
func usesOf(e, word string) int {
	n := 0
	eachWord(e, word, func(int) { n++ })
	return n
}

// repeats reports whether a word is inside of an iteration, apart from those of [Scope.Bind].
func repeats(e, word string) bool {
	repeated := false
	eachWord(e, word, func(at int) {
		var iterations []bool
		for i := 0; i < at; i++ {
			switch e[i] {
			case '\'':
				i = endOfLiteral(e, i)
			case '(':
				iterates := slices.ContainsFunc([]string{".exists", ".filter", ".map", ".all"}, func(macro string) bool {
					return strings.HasSuffix(e[:i], macro)
				})
				iterations = append(iterations, iterates && !strings.HasPrefix(e[i+1:], "_"))
			case ')':
				iterations = iterations[:len(iterations)-1]
			}
		}
		repeated = repeated || slices.Contains(iterations, true)
	})
	return repeated
}

// replaceWord replaces each occurrence of a word outside of literals.
func replaceWord(e, word, by string) string {
	var b strings.Builder
	last := 0
	eachWord(e, word, func(at int) {
		b.WriteString(e[last:at] + by)
		last = at + len(word)
	})
	b.WriteString(e[last:])
	return b.String()
}

// eachWord calls a function with the place of each occurrence of a word outside of literals.
func eachWord(e, word string, found func(at int)) {
	for i := 0; i < len(e); i++ {
		switch {
		case e[i] == '\'':
			i = endOfLiteral(e, i)
		case strings.HasPrefix(e[i:], word) && (i == 0 || !isWordByte(e[i-1])) && (i+len(word) == len(e) || !isWordByte(e[i+len(word)])):
			found(i)
			i += len(word) - 1
		}
	}
}

// endOfLiteral returns the place of the quote that ends the literal that begins at a place.
func endOfLiteral(e string, at int) int {
	for at++; at < len(e) && e[at] != '\''; at++ {
		if e[at] == '\\' {
			at++
		}
	}
	return at
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
