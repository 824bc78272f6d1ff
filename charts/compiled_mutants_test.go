// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/environment"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	allrules "noderestriction.plus/policy/rules"
)

// mutant is an expression in which one operator is another one.
type mutant struct {
	text string
	// place is the operator with what stands around it, without literals: the same for all policies that a rule is compiled for.
	place string
}

// mutants returns an expression with each operator changed in turn.
func mutants(e string) []mutant {
	literals := regexp.MustCompile(`'(\\.|[^'\\])*'`)
	masked := literals.ReplaceAllStringFunc(e, func(s string) string { return "'" + strings.Repeat("_", len(s)-2) + "'" })
	var all []mutant
	add := func(at, length int, other string) {
		before, after := masked[max(0, at-48):at], masked[at+length:min(len(masked), at+length+48)]
		place := before + "«" + masked[at:at+length] + "»" + after
		place = regexp.MustCompile(`_+`).ReplaceAllString(place, "")
		place = regexp.MustCompile(`(''(, )?)+`).ReplaceAllString(place, "''")
		all = append(all, mutant{e[:at] + other + e[at+length:], place})
	}
	for operator, other := range map[string]string{
		" && ": " || ", " || ": " && ", " == ": " != ", " != ": " == ", " > ": " < ", " < ": " > ", " <= ": " > ", " >= ": " < ",
	} {
		for at := 0; ; {
			i := strings.Index(masked[at:], operator)
			if i < 0 {
				break
			}
			add(at+i, len(operator), other)
			at += i + len(operator) - 1
		}
	}
	for i := range masked {
		if masked[i] == '!' && masked[i+1] != '=' {
			add(i, 1, "")
		}
	}
	return all
}

// TestEachOperatorMatters changes each operator of what is compiled in turn: some write of the corpus of the rule must then have another
// verdict.
func TestEachOperatorMatters(t *testing.T) {
	for _, rule := range allrules.All() {
		if rule.CEL.Kind == policy.NotAtAll || slices.Contains(lackFixtures(), rule.ID) {
			continue
		}
		t.Run(string(rule.ID), func(t *testing.T) {
			t.Parallel()
			killed, survived := map[string]bool{}, map[string]bool{}
			c := newCorpus(t, rule)
			c.grow()
			c.each(t, func(_ *v1alpha1.NodeRestrictionPolicy, e *enforced, writes []policy.Request) {
				mutate(t, rule.ID, e, writes, killed, survived)
			})
			for place := range killed {
				delete(survived, place)
			}
			for _, place := range slices.Sorted(maps.Keys(survived)) {
				if !slices.ContainsFunc(equivalent(), func(e *regexp.Regexp) bool { return e.MatchString(place) }) {
					t.Errorf("no write notices when the operator changes: %s", place)
				}
			}
		})
	}
}

// lackFixtures are rules with an operator whose change no write notices yet. A rule leaves the list with fixtures that notice.
func lackFixtures() []policy.RuleID {
	return nil
}

// mutate changes the operators of a rule in a policy, and notes which changes some write notices.
func mutate(t *testing.T, id policy.RuleID, e *enforced, writes []policy.Request, killed, survived map[string]bool) {
	t.Helper()
	var inputs []*admission.VersionedAttributes
	var want []bool
	for _, r := range writes {
		attributes := (&caller{t: t}).attributesOf(r)
		violated, failure := e.violated(t, attributes)
		if failure != "" {
			t.Fatalf("%s: %s", e.Policy.Name, failure)
		}
		_, denied := violated[id]
		inputs, want = append(inputs, attributes), append(want, denied)
	}
	options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	store := func(name, text string) {
		e.compiler.CompileAndStoreVariable(&validating.Variable{Name: name, Expression: text}, options, environment.StoredExpressions)
	}
	noticed := func() bool {
		for i, attributes := range inputs {
			violated, failure := e.violated(t, attributes)
			if _, denied := violated[id]; failure != "" || denied != want[i] {
				return true
			}
		}
		return false
	}
	for _, v := range e.Policy.Spec.Variables {
		if v.Name == "violates" {
			continue
		}
		for _, m := range mutants(v.Expression) {
			if killed[m.place] || survived[m.place] && len(writes) > 200 {
				continue
			}
			store(v.Name, m.text)
			if noticed() {
				killed[m.place] = true
			} else {
				survived[m.place] = true
			}
		}
		store(v.Name, v.Expression)
	}
}

// equivalent are changes that make no difference, or only beside a bound.
func equivalent() []*regexp.Regexp {
	return []*regexp.Regexp{
		// Without a comparison first, the lists are compared element by element: slower, with the same verdict.
		regexp.MustCompile(`\? \[\] : `),
	}
}
