// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
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
	"noderestriction.plus/policy"
)

// condition is an expression of a match condition.
type condition struct{ evaluator cel.ConditionEvaluator }

func newCondition(t testing.TB, e string) condition {
	t.Helper()
	accessor := &validating.ValidationCondition{Expression: e}
	options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	if result := cel.NewCompiler(oldEnvironment()).CompileCELExpression(accessor, options, environment.NewExpressions); result.Error != nil {
		t.Fatalf("%v in %s", result.Error, e)
	}
	return condition{cel.NewConditionCompiler(oldEnvironment()).CompileCondition(
		[]cel.ExpressionAccessor{accessor}, options, environment.StoredExpressions)}
}

// evaluate returns whether the condition is true, and what an API server counts for it.
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

func TestXCost(t *testing.T) {
	var policies []*v1alpha1.NodeRestrictionPolicy
	for _, name := range []string{"recommended", "strict", "baseline"} {
		policies = append(policies, adapted(t, name, "aks"))
	}
	for _, p := range policies {
		for _, v := range compile.Violations(p, rulesOf(t, p)) {
			r := policy.Request{NodeName: "worker-1", Write: policy.Write{Resource: v.Write.Resource, Subresource: v.Write.Subresource, Operation: admissionv1.Operation(v.Write.Operation)}}
			switch v.Write.Resource {
			case "nodes":
				r.Name, r.OldObject, r.Object = "worker-1", mustMarshal(fullNode(1, 2)), mustMarshal(fullNode(2, 2))
			case "pods":
				r.Name, r.Namespace, r.OldObject, r.Object = "a-worker-1", "kube-system", mustMarshal(fullPod(1, 2)), mustMarshal(fullPod(2, 2))
			default:
				continue
			}
			switch r.Operation {
			case admissionv1.Create:
				r.OldObject = nil
			case admissionv1.Delete:
				r.Object = nil
			}
			if r.Subresource == "eviction" { continue }
			attributes := (&caller{t: t}).attributesOf(r)
			is, cost := newCondition(t, "("+v.Certain+") || false").evaluate(t, attributes)
			if v.Cost > 5000 || uint64(cost) > v.Cost {
			fmt.Printf("%s %s %s %v: %d estimated %d  %.1f\n", p.Name, v.Write, v.Rule, is, cost, v.Cost, float64(v.Cost)/float64(cost))
			}
		}
	}
}
