// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression_test

import (
	"testing"

	"noderestriction.plus/policy/expression"
)

func TestNotEmpty(t *testing.T) {
	for name, test := range map[string]struct{ list, want string }{
		"no list has no elements":              {"[]", "false"},
		"a literal has elements":               {"['more than 2 (two) keys']", "true"},
		"any other list is compared":           {"variables.names", "size(variables.names) != 0"},
		"a filter has elements if one exists":  {"a.filter(e, f(e) && e != ')')", "a.exists(e, f(e) && e != ')')"},
		"a text of each element is not needed": {"a.b[0].filter(e, e.c).map(e, e.d + ' ? ')", "a.b[0].exists(e, e.c)"},
		"one of several lists has elements":    {"a.filter(e, e) + (b + ['c'].filter(e, e))", "a.exists(e, e) || size(b) != 0 || ['c'].exists(e, e)"},
		"a choice of lists is one of conditions": {
			"a == b ? [] : size(a) > 2 ? ['more'] : a.filter(e, e ? true : false)",
			"!(a == b) && (size(a) > 2 || a.exists(e, e ? true : false))",
		},
		"a choice of two lists remains": {"(a ? b : c) ? x : y", "(a ? b : c) ? size(x) != 0 : size(y) != 0"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := expression.NotEmpty(test.list); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
