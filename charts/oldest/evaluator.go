// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/features"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// compiler compiles the expressions of one policy after the other. It is made once, because that takes much longer than to compile a policy.
// The variables of a policy stay until another one has variables of the same names.
type compiler struct {
	*cel.CompositedCompiler
	strict bool
}

func newCompiler() (*compiler, error) {
	strict := utilfeature.DefaultFeatureGate.Enabled(features.StrictCostEnforcementForVAP)
	composited, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion(), strict))
	return &compiler{composited, strict}, err
}

// evaluator evaluates a policy as the plugin ValidatingAdmissionPolicy does, until the compiler compiles another one.
type evaluator struct{ validator validating.Validator }

// evaluator compiles a policy. It returns the errors for which an API server refuses an expression in a new policy.
func (c *compiler) evaluator(p *admissionregistrationv1.ValidatingAdmissionPolicy) (*evaluator, []string) {
	options := cel.OptionalVariableDeclarations{HasAuthorizer: true, StrictCost: c.strict}
	ofMessages := cel.OptionalVariableDeclarations{StrictCost: c.strict}
	var refused []string
	check := func(field string, result cel.CompilationResult) {
		if result.Error != nil {
			refused = append(refused, fmt.Sprintf("%s: %v", field, result.Error))
		}
	}
	for i, v := range p.Spec.Variables {
		check(fmt.Sprintf("spec.variables[%d]", i), c.CompileAndStoreVariable(
			&validating.Variable{Name: v.Name, Expression: v.Expression}, options, environment.NewExpressions))
	}
	var conditions, validations, messages, annotations []cel.ExpressionAccessor
	for i := range p.Spec.MatchConditions {
		conditions = append(conditions, (*matchconditions.MatchCondition)(&p.Spec.MatchConditions[i]))
		check(fmt.Sprintf("spec.matchConditions[%d]", i), c.CompileCELExpression(conditions[i], options, environment.NewExpressions))
	}
	for i, v := range p.Spec.Validations {
		validations = append(validations, &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason})
		check(fmt.Sprintf("spec.validations[%d]", i), c.CompileCELExpression(validations[i], options, environment.NewExpressions))
		if v.MessageExpression == "" {
			messages = append(messages, nil)
			continue
		}
		messages = append(messages, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression})
		check(fmt.Sprintf("spec.validations[%d].messageExpression", i),
			c.CompileCELExpression(messages[i], ofMessages, environment.NewExpressions))
	}
	for i, a := range p.Spec.AuditAnnotations {
		annotations = append(annotations, &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression})
		check(fmt.Sprintf("spec.auditAnnotations[%d]", i), c.CompileCELExpression(annotations[i], options, environment.NewExpressions))
	}
	if len(refused) > 0 {
		return nil, refused
	}
	stored := environment.StoredExpressions
	var matcher matchconditions.Matcher
	if len(conditions) > 0 {
		matcher = matchconditions.NewMatcher(c.Compile(conditions, options, stored), p.Spec.FailurePolicy, "policy", "validate", p.Name)
	}
	return &evaluator{validating.NewValidator(c.Compile(validations, options, stored), matcher,
		c.Compile(annotations, options, stored), c.Compile(messages, ofMessages, stored), p.Spec.FailurePolicy)}, nil
}

// decide evaluates a write, and returns the first error if there is one.
func (e *evaluator) decide(ctx context.Context, attributes *admission.VersionedAttributes) *Decision {
	result := e.validator.Validate(ctx, attributes.GetResource(), attributes, nil, nil, celconfig.RuntimeCELCostBudget, nil)
	d := &Decision{Denied: map[int]string{}, Annotations: map[string]string{}}
	for i, one := range result.Decisions {
		switch {
		case one.Evaluation == validating.EvalError:
			return &Decision{Error: one.Message}
		case one.Action == validating.ActionDeny:
			d.Denied[i] = fmt.Sprintf("%s: %s", one.Reason, one.Message)
		}
	}
	for _, a := range result.AuditAnnotations {
		switch a.Action {
		case validating.AuditAnnotationActionPublish:
			d.Annotations[a.Key] = a.Value
		case validating.AuditAnnotationActionError:
			return &Decision{Error: a.Key + ": " + a.Error}
		}
	}
	return d
}
