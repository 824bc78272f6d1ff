// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"noderestriction.plus/policy/expression"
)

func TestCost(t *testing.T) {
	for name, e := range map[string]string{
		"nothing": "", "an open bracket": "(a", "another language": "a => b", "an unknown operator": "a % b", "more than one expression": "a b",
		"an open literal in a call": "f('a",
	} {
		if got := expression.Cost(e); got != math.MaxUint64 {
			t.Errorf("%s costs %d", name, got)
		}
	}
	for name, test := range map[string]struct{ less, more string }{
		"a longer list":         {"size(l) > 8 ? false : l.exists(e, e == 'a')", "size(l) > 64 ? false : l.exists(e, e == 'a')"},
		"an iteration inside":   {"l.exists(e, e == 'a')", "l.exists(e, l.exists(f, e == f))"},
		"a regular expression":  {"a.startsWith('b')", "a.matches('^(?s:b.*c)$')"},
		"another condition":     {"a == 'b'", "a == 'b' || a == 'c'"},
		"the dearer of choices": {"a ? b : c", "a ? b : l.exists(e, e == 'a')"},
	} {
		less, more := expression.Cost(test.less), expression.Cost(test.more)
		if less >= more || more == math.MaxUint64 {
			t.Errorf("%s: %d is not less than %d", name, less, more)
		}
	}
}

// TestCostGrowsWithPatterns is about the lists that a policy may have.
func TestCostGrowsWithPatterns(t *testing.T) {
	var patterns []string
	before := uint64(0)
	for i := range 5 {
		patterns = slices.Grow(patterns, 50)
		for j := range 50 {
			patterns = append(patterns, fmt.Sprintf("example*-%d.com/*%d", i, j))
		}
		e := "size(l) > 128 ? true : l.exists(k, " + expression.Matches("k", patterns) + ")"
		cost := expression.Cost(e)
		if cost <= before || cost == math.MaxUint64 {
			t.Errorf("%d patterns cost %d, fewer %d", len(patterns), cost, before)
		}
		before = cost
	}
}
