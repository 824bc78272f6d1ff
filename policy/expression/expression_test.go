// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression_test

import (
	"testing"

	"noderestriction.plus/policy/expression"
)

func TestTexts(t *testing.T) {
	on := &expression.Scope{}
	always := func(key, _ string) string { return expression.Not(expression.In(key, "a")) }
	for name, test := range map[string]struct{ got, want string }{
		"a literal escapes quotes and what is not ASCII": {expression.Quote("a'\\\n"), `'a\'\\\U0000000a'`},
		"a choice in a conjunction is in parentheses":    {expression.And("a || b", "c"), "(a || b) && c"},
		"a conjunction in a choice is not":               {expression.Or("a && b", "c"), "a && b || c"},
		"an operator in a literal does not count":        {expression.And("x == ' || '", "c"), "x == ' || ' && c"},
		"an operator in brackets does not count":         {expression.And("f(a || b)", "c"), "f(a || b) && c"},
		"what is true is left out":                       {expression.And("a", expression.True), "a"},
		"what is false decides":                          {expression.And("a", expression.False), expression.False},
		"a comparison is negated in parentheses":         {expression.Not("a == b"), "!(a == b)"},
		"a negation is not negated":                      {expression.Not("!(a || b)"), "(a || b)"},
		"no value is in an empty list":                   {expression.In[string]("a"), expression.False},
		"patterns are sorted by what they need": {
			expression.Matches("k", []string{"a", "b*", "*c", "*d*", "e*f", "g*h*"}),
			"k == 'a' || k.startsWith('b') || k.endsWith('c') || k.contains('d') || k.startsWith('e') && k.endsWith('f') || " +
				"k.matches('^(?s:g.*h.*)$')",
		},
		"the ends of a pattern may not be the same part of a text": {
			expression.Matches("k", []string{"ab*ba"}), "k.startsWith('ab') && k.endsWith('ba') && size(k) >= 4",
		},
		"an asterisk matches everything":      {expression.Matches("k", []string{"a", "*"}), expression.True},
		"without patterns nothing matches":    {expression.Matches[string]("k", nil), expression.False},
		"a regular expression quotes periods": {expression.Matches("k", []string{"a.*b*"}), `k.matches('^(?s:a\\..*b.*)$')`},
		"a pattern on a value":                {expression.MatchesPair("k", "v", []string{"a=b", "a="}), "k == 'a' && v in ['b', '']"},
		"only the keys of a new map are new": {
			on.ChangedPairs("{}", "m", always), "size(m) == 0 ? [] : size(m) > 256 ? ['more than 256 keys'] : m.filter(key, !(key == 'a'))",
		},
		"nothing is refused": {
			on.ChangedPairs("o", "m", func(string, string) string { return expression.False }), expression.None,
		},
		"an IPv4-mapped range has no addresses": {expression.InCIDRs("ip", []string{"::ffff:10.0.0.0/104"}), expression.False},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %s, want %s", name, test.got, test.want)
		}
	}
}

func TestScopeKeepsVariablesOnce(t *testing.T) {
	on := &expression.Scope{Operation: expression.Update}
	for range 2 {
		if old, updated := on.Both("metadata.labels", "{}"); old != "variables.oldMetadataLabels" || updated != "variables.newMetadataLabels" {
			t.Errorf("got %s and %s", old, updated)
		}
	}
	if n := len(on.Variables()); n != 2 {
		t.Errorf("there are %d variables, want 2", n)
	}
	created, deleted := &expression.Scope{Operation: expression.Create}, &expression.Scope{Operation: expression.Delete}
	if created.Old("spec", "{}") != "{}" || deleted.New("spec", "{}") != "{}" || len(created.Variables())+len(deleted.Variables()) > 0 {
		t.Error("a missing object is read")
	}
}
