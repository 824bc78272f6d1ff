// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// condition is an expression of a match condition, as an API server evaluates it.
type condition struct{ evaluator cel.ConditionEvaluator }

// compiledConditions has each condition that was compiled, by its text.
var compiledConditions sync.Map

func newCondition(t testing.TB, e string) condition {
	t.Helper()
	if known, ok := compiledConditions.Load(e); ok {
		return known.(condition)
	}
	// A match condition must be known to be a bool.
	accessor := &validating.ValidationCondition{Expression: "(" + e + ") || false"}
	options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	if result := cel.NewCompiler(oldEnvironment()).CompileCELExpression(accessor, options, environment.NewExpressions); result.Error != nil {
		t.Fatalf("%v in %s", result.Error, e)
	}
	c := condition{cel.NewConditionCompiler(oldEnvironment()).CompileCondition(
		[]cel.ExpressionAccessor{accessor}, options, environment.StoredExpressions)}
	compiledConditions.Store(e, c)
	return c
}

// evaluate returns whether the condition is true, and what an API server counts for it. An error fails the test.
func (c condition) evaluate(t testing.TB, attributes *admission.VersionedAttributes) (is bool, cost int64) {
	t.Helper()
	const budget = 1_000 * celconfig.RuntimeCELCostBudget
	request := cel.CreateAdmissionRequest(attributes.Attributes,
		metav1.GroupVersionResource(attributes.GetResource()), metav1.GroupVersionKind(attributes.VersionedKind))
	results, left, err := c.evaluator.ForInput(t.Context(), attributes, request, cel.OptionalVariableBindings{}, nil, budget)
	if err != nil {
		t.Fatal(err)
	}
	if results[0].Error != nil {
		t.Fatal(results[0].Error)
	}
	return results[0].EvalResult.Value().(bool), budget - left
}

// isOf reports whether a request is a kind of write.
func isOf(r policy.Request, w compile.Write) bool {
	if r.Resource != w.Resource || string(r.Operation) != w.Operation {
		return false
	}
	if w.Subresource == policy.AnySubresource {
		return r.Subresource != "" && !slices.Contains([]string{"status", "eviction"}, r.Subresource)
	}
	return r.Subresource == w.Subresource
}

// TestConditionsSayWhatTheRulesSay compares the conditions with the rules, for the fixtures of every rule and for the same writes without a
// change: what certainly violates a rule violates it, and the reverse if the rule has no gap; nothing else possibly violates it.
func TestConditionsSayWhatTheRulesSay(t *testing.T) {
	seen := map[policy.RuleID]int{}
	check := func(t *testing.T, p *v1alpha1.NodeRestrictionPolicy, v *compile.Violation, r policy.Request) {
		webhook, verified := byEngine(t, []*v1alpha1.NodeRestrictionPolicy{p}, r)
		if !verified {
			return
		}
		for _, unstructured := range []bool{false, true} {
			attributes := (&caller{t: t, unstructured: unstructured}).attributesOf(r)
			compared := func(e string, paths []string) string {
				if len(paths) > 0 {
					return expression.And(expression.Differ(paths...), "("+e+")")
				}
				return e
			}
			certain, _ := newCondition(t, compared(v.Certain, v.CertainCompared)).evaluate(t, attributes)
			possible, _ := newCondition(t, compared(v.Possible, v.Compared)).evaluate(t, attributes)
			missed := true
			if !certain && webhook[v.Rule] {
				missed, _ = newCondition(t, v.Missed).evaluate(t, attributes)
			}
			switch violates := webhook[v.Rule]; {
			case certain && !violates, violates && !possible, violates && !certain && !missed, violates && !certain && v.Gap == "":
				t.Errorf("unstructured %v: the webhook says %v; certain %v, possible %v, missed %v (%s): %s",
					unstructured, violates, certain, possible, missed, v.Gap, v.Certain)
			case certain:
				seen[v.Rule]++
			}
		}
	}
	eachFixture(t, func(t *testing.T, _ string, f *fixture.Fixture, r policy.Request) {
		for _, p := range f.Policies {
			if p.Spec.Match != nil && p.Spec.Match.NodeSelector != nil {
				continue
			}
			for _, v := range compile.Violations(p, rulesOf(t, p)) {
				if !isOf(r, v.Write) {
					continue
				}
				check(t, p, &v, r)
				if r.Operation == admissionv1.Update {
					same := r
					same.Object = r.OldObject
					check(t, p, &v, same)
				}
			}
		}
	})
	for _, rule := range expressibleRules() {
		costly := rule.ID == "pod-managed-fields"
		if seen[rule.ID] == 0 && !costly {
			t.Errorf("no fixture certainly violates rule %s", rule.ID)
		}
	}
}

// TestCostOfConditions compares the cost that is computed without an evaluator with what an API server counts for the largest writes within
// the bounds.
func TestCostOfConditions(t *testing.T) {
	for _, name := range []string{"recommended", "strict", "baseline"} {
		p := presetNamed(t, name)
		for _, v := range compile.Violations(p, rulesOf(t, p)) {
			r := policy.Request{NodeName: "worker-1", Write: policy.Write{
				Resource: v.Write.Resource, Subresource: v.Write.Subresource, Operation: admissionv1.Operation(v.Write.Operation),
			}}
			switch {
			case v.Write.Resource == "nodes":
				r.Name, r.OldObject, r.Object = "worker-1", mustMarshal(fullNode(1, 2)), mustMarshal(fullNode(2, 2))
			case v.Write.Resource == "pods" && v.Write.Subresource != "eviction":
				r.Name, r.Namespace = "a-worker-1", "kube-system"
				r.OldObject, r.Object = mustMarshal(fullPod(1, 2)), mustMarshal(fullPod(2, 2))
			default:
				continue
			}
			switch r.Operation {
			case admissionv1.Create:
				r.OldObject = nil
			case admissionv1.Delete:
				r.Object = nil
			}
			attributes := (&caller{t: t}).attributesOf(r)
			for _, e := range []string{v.Certain, v.Possible, v.Missed} {
				if _, cost := newCondition(t, e).evaluate(t, attributes); uint64(cost) > v.Cost+16 {
					t.Errorf("%s: %s of %s costs %d, which is computed as %d: %s", name, v.Rule, v.Write, cost, v.Cost, e)
				}
			}
		}
	}
}
