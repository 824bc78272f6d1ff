// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"fmt"
	"strings"
)

// Literals that the functions of this package leave out where they do not matter.
const (
	True  = "true"
	False = "false"
	None  = "[]" // no names
)

// Quote returns a string literal.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, c := range s {
		switch {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c >= ' ' && c <= '~':
			b.WriteRune(c)
		default:
			fmt.Fprintf(&b, `\U%08x`, c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// List returns a list of string literals.
func List[T ~string](values ...T) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = Quote(string(v))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// In says that a text is one of the values. Without values it is [False].
func In[T ~string](text string, values ...T) string {
	switch len(values) {
	case 0:
		return False
	case 1:
		return text + " == " + Quote(string(values[0]))
	}
	return text + " in " + List(values...)
}

// And says that all parts are true.
func And(parts ...string) string { return join(parts, " && ", True, False, 2) }

// Or says that one of the parts is true.
func Or(parts ...string) string { return join(parts, " || ", False, True, 1) }

func join(parts []string, operator, neutral, dominant string, rank int) string {
	var kept []string
	for _, part := range parts {
		switch part {
		case neutral:
		case dominant:
			return dominant
		default:
			if rankOf(part) < rank {
				part = "(" + part + ")"
			}
			kept = append(kept, part)
		}
	}
	if len(kept) == 0 {
		return neutral
	}
	return strings.Join(kept, operator)
}

// Not says that an expression is false.
func Not(e string) string {
	switch e {
	case True:
		return False
	case False:
		return True
	}
	switch {
	case rankOf(e) < 4:
		return "!(" + e + ")"
	case strings.HasPrefix(e, "!"):
		return e[1:]
	}
	return "!" + e
}

// If is the first expression where the condition is true, and otherwise the second.
func If(condition, then, otherwise string) string {
	switch {
	case condition == True, then == otherwise:
		return then
	case condition == False:
		return otherwise
	case then == False:
		return And(Not(condition), otherwise)
	case then == True:
		return Or(condition, otherwise)
	case otherwise == False:
		return And(condition, then)
	case otherwise == True:
		return Or(Not(condition), then)
	}
	if rankOf(condition) == 0 {
		condition = "(" + condition + ")"
	}
	if rankOf(then) == 0 {
		then = "(" + then + ")"
	}
	return condition + " ? " + then + " : " + otherwise
}

// rankOf returns how tightly the loosest operator of an expression binds, outside of brackets and literals: 0 a choice, 1 or, 2 and, 3 a
// comparison or a sum, 4 none.
func rankOf(e string) int {
	rank, depth := 4, 0
	for i := 0; i < len(e); i++ {
		switch e[i] {
		case '\'':
			i = endOfLiteral(e, i)
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case ' ':
			if depth > 0 {
				continue
			}
			operator, _, _ := strings.Cut(e[i+1:], " ")
			rank = min(rank, rankOfOperator(operator))
		}
	}
	return rank
}

func rankOfOperator(operator string) int {
	switch operator {
	case "?", ":":
		return 0
	case "||":
		return 1
	case "&&":
		return 2
	case "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/":
		return 3
	}
	return 4
}

// Sum joins lists. It leaves out those without elements.
func Sum(lists ...string) string {
	var kept []string
	for _, list := range lists {
		if list != None {
			if rankOf(list) < 3 {
				list = "(" + list + ")"
			}
			kept = append(kept, list)
		}
	}
	if len(kept) == 0 {
		return None
	}
	return strings.Join(kept, " + ")
}

// Filter returns the elements of a list, or the keys of a map, for which a condition on the named one is true.
func Filter(of, name, condition string) string {
	if condition == False || of == None || of == "{}" {
		return None
	}
	return of + ".filter(" + name + ", " + condition + ")"
}

// Exists says that a condition is true for one of the elements of a list, or keys of a map.
func Exists(of, name, condition string) string {
	if condition == False || of == None || of == "{}" {
		return False
	}
	return of + ".exists(" + name + ", " + condition + ")"
}
