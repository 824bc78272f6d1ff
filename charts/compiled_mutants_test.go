// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/environment"

	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
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

// TestEachOperatorMatters changes each operator of what is compiled in turn: some fixture of the rule must then fail.
func TestEachOperatorMatters(t *testing.T) {
	killed, survived := map[string]bool{}, map[string]bool{}
	eachFixture(t, func(t *testing.T, name string, f *fixture.Fixture, r policy.Request) {
		id := strings.Split(name, "/")[0]
		webhook, verified := judge(t, f.Policies, r)
		if !verified || len(f.Policies) != 1 {
			return
		}
		attributes := (&caller{t: t}).attributesOf(r)
		for _, kind := range compileFor(t, f.Policies) {
			if !isFor(kind, attributes) {
				continue
			}
			var alive []mutant
			for _, v := range kind.Policy.Spec.Variables {
				for _, m := range mutants(v.Expression) {
					if m.place = id + ": " + m.place; !killed[m.place] {
						alive = append(alive, m)
					}
				}
			}
			if len(alive) == 0 {
				continue
			}
			e, errs := newEnforced(kind)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
			for _, v := range kind.Policy.Spec.Variables {
				for _, m := range mutants(v.Expression) {
					if m.place = id + ": " + m.place; killed[m.place] {
						continue
					}
					e.compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: m.text}, options, environment.StoredExpressions)
					violated, failure := e.violated(t, attributes)
					_, denied := violated[policy.RuleID(id)]
					if failure != "" || denied != webhook[policy.RuleID(id)] {
						killed[m.place] = true
						delete(survived, m.place)
					} else {
						survived[m.place] = true
					}
				}
				e.compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, options, environment.StoredExpressions)
			}
		}
	})
	for _, place := range slices.Sorted(maps.Keys(survived)) {
		t.Errorf("no fixture notices when the operator changes: %s", place)
	}
	t.Logf("%d mutants have been killed", len(killed))
}
