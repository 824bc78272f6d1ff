// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// The limits of an API server for a ValidatingAdmissionPolicy, with its default flags; see k8s.io/apiserver/pkg/apis/cel/config.go,
// cel-go parser/options.go, and pkg/apis/admissionregistration/validation of Kubernetes.
const (
	maxExpressionCost = 1_000_000  // of an expression, and of a variable
	maxPolicyCost     = 10_000_000 // of all validations and messages of a policy, each with the variables that they read
	maxMatchCost      = 2_500_000  // of all match conditions of a policy
	maxExpression     = 100_000    // characters of an expression
	maxAnnotation     = 5 << 10    // bytes of the expression of an audit annotation
	maxObject         = 1 << 20    // bytes of a policy as JSON: etcd stores 1.5 MiB, with what API servers and clients add
)

// LimitError says which sections of a policy are too long for an API server to evaluate, or to store.
type LimitError struct {
	// Policy is the name of the NodeRestrictionPolicy.
	Policy string
	err    error
}

// Error implements error.
func (e *LimitError) Error() string { return fmt.Sprintf("%s %q: %v", v1alpha1.Kind, e.Policy, e.err) }

// excesses are by how much compiled policies exceed the limits, each rule once. The empty rule stands for the match of the policy.
type excesses struct {
	order []policy.RuleID
	why   map[policy.RuleID]string
}

func (x *excesses) add(rule policy.RuleID, format string, values ...any) {
	if x.why == nil {
		x.why = map[policy.RuleID]string{}
	}
	if x.why[rule] == "" {
		x.order = append(x.order, rule)
		x.why[rule] = fmt.Sprintf(format, values...)
	}
}

// err returns a [LimitError] that names the field and the rule of each excess.
func (x *excesses) err(name string, rules []policy.Rule) error {
	var errs []error
	for _, id := range x.order {
		field, of := "spec.match", "the names of nodes"
		switch id {
		case "":
		case policy.WithoutNode:
			field, of = "spec.subjects", "the name of the node"
		default:
			at := slices.IndexFunc(rules, func(r policy.Rule) bool { return r.ID == id })
			field, of = rules[at].Doc.Spec, "rule "+string(id)
		}
		errs = append(errs, fmt.Errorf("%s: %s is too expensive for a ValidatingAdmissionPolicy: %s", field, of, x.why[id]))
	}
	if len(errs) == 0 {
		return nil
	}
	return &LimitError{name, errors.Join(errs...)}
}

// shorten is the advice about what exceeds a limit.
const shorten = "use fewer or shorter patterns, and fewer asterisks"

// check compares a compiled policy with the limits, of the largest objects within the bounds of package expression.
func (x *excesses) check(k *Kind) {
	spec := &k.Policy.Spec
	variables := make([]expression.Variable, len(spec.Variables))
	for i, v := range spec.Variables {
		variables[i] = expression.Variable{Name: v.Name, Expression: v.Expression}
		x.checkText(k, k.definer(i), "variable "+v.Name, v.Expression, maxExpression)
	}
	var expressions []string
	for i := range spec.Validations {
		v := &spec.Validations[i]
		expressions = append(expressions, v.Expression, cmp.Or(v.MessageExpression, "''"))
		x.checkText(k, k.Rules[i], "message", v.MessageExpression, maxExpression)
	}
	ofVariables, ofExpressions := expression.Costs(variables, expressions...)
	for i, cost := range ofVariables {
		x.checkCost(k, k.definer(i), cost)
	}
	for i, cost := range ofExpressions {
		x.checkCost(k, k.Rules[i/2], cost)
	}
	x.checkTotal(k, ofVariables, ofExpressions)
	for _, a := range spec.AuditAnnotations {
		if len(a.ValueExpression) > maxAnnotation {
			x.add(k.longest(), "the audit annotation %s of writes %s has %d bytes, and an API server accepts %d",
				a.Key, k.Write, len(a.ValueExpression), maxAnnotation)
		}
	}
	x.checkMatch(k)
	if data, err := json.Marshal(k.Policy); err == nil && len(data) > maxObject {
		x.add(k.longest(), "its section makes most of the policy for writes %s, which has %d bytes, and at most %d are stored",
			k.Write, len(data), maxObject)
	}
}

func (x *excesses) checkCost(k *Kind, rule policy.RuleID, cost uint64) {
	if cost > maxExpressionCost {
		x.add(rule, "its expression for writes %s may cost %d, and an API server evaluates at most %d; %s",
			k.Write, cost, maxExpressionCost, shorten)
	}
}

func (x *excesses) checkText(k *Kind, rule policy.RuleID, what, text string, limit int) {
	if n := utf8.RuneCountInString(text); n > limit {
		x.add(rule, "its %s for writes %s has %d characters, and an API server compiles at most %d; %s", what, k.Write, n, limit, shorten)
	}
}

// checkTotal adds up what an API server counts for the validations, and then, from the same budget, for the messages, which read their
// variables again. Audit annotations read them a third time, with a budget of their own.
func (x *excesses) checkTotal(k *Kind, ofVariables, ofExpressions []uint64) {
	spec := &k.Policy.Spec
	var validations, messages []string
	for i := range spec.Validations {
		validations, messages = append(validations, spec.Validations[i].Expression), append(messages, spec.Validations[i].MessageExpression)
	}
	total := uint64(0)
	for _, cost := range ofExpressions {
		total += min(cost, maxPolicyCost)
	}
	byRule := map[policy.RuleID]uint64{}
	for _, texts := range [][]string{validations, messages} {
		for i, read := range readBy(spec.Variables, texts) {
			if read {
				cost := min(ofVariables[i], maxPolicyCost)
				total += cost
				byRule[k.definer(i)] += cost
			}
		}
	}
	if total <= maxPolicyCost {
		return
	}
	dearest := slices.MaxFunc(k.Rules, func(a, b policy.RuleID) int { return cmp.Compare(byRule[a], byRule[b]) })
	x.add(dearest, "the policy for writes %s may cost %d, this rule %d, and an API server evaluates at most %d; %s",
		k.Write, total, byRule[dearest], maxPolicyCost, shorten)
}

// readBy reports, of each variable, whether one of the texts reads it, or another variable that one of them reads.
func readBy(variables []admissionregistrationv1.Variable, texts []string) []bool {
	name := regexp.MustCompile(`\bvariables\.(\w+)`)
	names := map[string]bool{}
	note := func(text string) {
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			names[m[1]] = true
		}
	}
	for _, text := range texts {
		note(text)
	}
	read := make([]bool, len(variables))
	for i, v := range slices.Backward(variables) {
		if read[i] = names[v.Name]; read[i] {
			note(v.Expression)
		}
	}
	return read
}

// checkMatch compares the match conditions with their budget.
func (x *excesses) checkMatch(k *Kind) {
	total := uint64(0)
	for _, m := range k.Policy.Spec.MatchConditions {
		cost := expression.Cost(m.Expression)
		total += min(cost, maxMatchCost)
		x.checkCost(k, "", cost)
		x.checkText(k, "", "match condition "+m.Name, m.Expression, maxExpression)
	}
	if total > maxMatchCost {
		x.add("", "its match conditions may cost %d, and an API server evaluates at most %d; %s", total, maxMatchCost, shorten)
	}
}

// definer returns the rule that defines a variable. What is defined for all rules is the one of the last rule.
func (k *Kind) definer(i int) policy.RuleID {
	if i < len(k.definers) {
		return k.definers[i]
	}
	return k.Rules[len(k.Rules)-1]
}

// longest returns the rule whose expressions are longest.
func (k *Kind) longest() policy.RuleID {
	lengths := map[policy.RuleID]int{}
	for i, v := range k.Policy.Spec.Variables {
		lengths[k.definer(i)] += len(v.Expression)
	}
	for i, v := range k.Policy.Spec.Validations {
		lengths[k.Rules[i]] += len(v.Expression) + strings.Count(v.MessageExpression, "")
	}
	return slices.MaxFunc(k.Rules, func(a, b policy.RuleID) int { return cmp.Compare(lengths[a], lengths[b]) })
}
