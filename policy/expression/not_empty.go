// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import "strings"

// NotEmpty says that a list has elements. It says so without making a list that functions of this package filter or map: then an API server
// compiles it in half the time, and stops at the first element.
func NotEmpty(list string) string {
	switch rankOf(list) {
	case 0:
		condition, rest := cutTop(list, " ? ")
		then, otherwise := cutTop(rest, " : ")
		return If(condition, NotEmpty(then), NotEmpty(otherwise))
	case 3:
		var either []string
		for list != "" {
			var part string
			part, list = cutTop(list, " + ")
			either = append(either, NotEmpty(part))
		}
		return Or(either...)
	}
	switch {
	case list == None:
		return False
	case list[0] == '(' && closing(list, 1) == len(list)-1:
		return NotEmpty(list[1 : len(list)-1])
	case list[0] == '[' && closing(list, 1) == len(list)-1:
		return True
	}
	of, arguments := lastCall(list)
	if filtered, is := strings.CutSuffix(of, ".filter"); is {
		return filtered + ".exists" + arguments
	}
	if mapped, is := strings.CutSuffix(of, ".map"); is {
		return NotEmpty(mapped)
	}
	return "size(" + list + ") != 0"
}

// cutTop cuts an expression around the first occurrence of an operator that is in no brackets and in no literal. Without one, nothing
// follows.
func cutTop(e, operator string) (before, after string) {
	for i := 0; i < len(e); i++ {
		switch e[i] {
		case '\'':
			i = endOfLiteral(e, i)
		case '(', '[', '{':
			i = closing(e, i+1)
		case ' ':
			if strings.HasPrefix(e[i:], operator) {
				return e[:i], e[i+len(operator):]
			}
		}
	}
	return e, ""
}

// lastCall cuts an expression before the arguments of the call at its end, in their parentheses. Without one, there are no arguments.
func lastCall(e string) (of, arguments string) {
	for i := 0; i < len(e); i++ {
		switch e[i] {
		case '\'':
			i = endOfLiteral(e, i)
		case '(', '[', '{':
			end := closing(e, i+1)
			if end == len(e)-1 && e[i] == '(' {
				return e[:i], e[i:]
			}
			i = end
		}
	}
	return e, ""
}
