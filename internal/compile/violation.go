// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"slices"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// Violation says when a kind of write violates a rule of a policy, in CEL for the match conditions of a webhook, which have no variables.
// The expressions are for clients that are kubelets, and never end in an error.
type Violation struct {
	Policy string
	Rule   policy.RuleID
	Write  Write
	// Denies says that the policy denies what violates it. Otherwise it only warns or records.
	Denies bool
	// Certain is true only if the write violates the rule. It is false beyond the bounds of package expression, and if CEL cannot tell
	// whether the policy is for the kubelet.
	Certain string
	// Possible is true if the write violates the rule. It may also be true for others: beyond the bounds, and where CEL cannot tell.
	Possible string
	// Missed is true for each write that violates the rule although Certain is false. It is cheaper than Possible.
	Missed string
	// Compared has the paths of the fields that are compared first: the expressions are false if none of them differs between the objects.
	// Empty: there are no such fields.
	Compared []string
	// CertainCompared is the same for Certain alone.
	CertainCompared []string
	// Cost is at least what an API server counts for any of the expressions.
	Cost uint64
	// Gap says why Certain may be false for a write that violates the rule within the bounds. Empty: it is not.
	Gap string

	touched string // the write touches what the rule evaluates
}

// Violations returns when writes violate a valid policy, which turns the given rules on: one for each rule and kind of write, in the order
// of [WritesOf] and of the rules. A policy for node agents has no violations. The result depends on the arguments only.
func Violations(p *v1alpha1.NodeRestrictionPolicy, rules []policy.Rule) []Violation {
	if p.Spec.Subjects != nil {
		return nil // the conditions are for clients that are kubelets
	}
	var all []Violation
	for _, w := range WritesOf(rules) {
		for i := range rules {
			if rule := &rules[i]; slices.ContainsFunc(rule.Targets, w.isOf) {
				v := violationOf(p, rule, w)
				v.limit()
				if v.Possible != expression.False {
					all = append(all, v)
				}
			}
		}
	}
	return all
}

// MaxCost is the largest cost of the expression of a rule in a match condition. An API server evaluates one expression up to 1,000,000.
const MaxCost = 500_000

func violationOf(p *v1alpha1.NodeRestrictionPolicy, rule *policy.Rule, w Write) Violation {
	v := Violation{
		Policy: p.Name, Rule: rule.ID, Write: w, Denies: slices.Contains(p.Spec.ValidationActions, v1alpha1.Deny),
	}
	certain, missed, how, compared := inline(&p.Spec, rule, w, true)
	possible, _, _, _ := inline(&p.Spec, rule, w, false)
	missed = cmp.Or(missed, possible)
	v.touched = touches(rule, w, compared)
	v.CertainCompared = compared
	if how != policy.Exactly {
		v.Gap = rule.CEL.Why
		missed = v.touched
		possible = expression.Or(possible, missed)
		compared = nil
	}
	if how == policy.Wider || how == policy.NotAtAll {
		certain, missed, v.CertainCompared = expression.False, possible, nil
	}
	includes, mayInclude := matches(p.Spec.Match, w)
	if includes != mayInclude {
		v.Gap = selectorGap
		missed = possible
	}
	v.Certain, v.Possible, v.Compared = expression.And(includes, certain), expression.And(mayInclude, possible), compared
	v.Missed, v.touched = expression.And(mayInclude, missed), expression.And(mayInclude, v.touched)
	for _, e := range []*string{&v.Certain, &v.Possible, &v.Missed, &v.touched} {
		*e = expression.FewOverloads(*e)
	}
	return v
}

// inline returns when a write violates a rule, as one expression, when it is beyond the bounds, how exactly it says that, and the paths
// that it compares. It returns no expression for the bounds if it has none.
func inline(
	spec *v1alpha1.NodeRestrictionPolicySpec, rule *policy.Rule, w Write, beyondPasses bool,
) (violates, beyond string, how policy.Expressible, compared []string) {
	scope := &expression.Scope{
		Resource: w.Resource, Subresource: w.Subresource, Operation: w.Operation, Inline: true, BeyondPasses: beyondPasses,
	}
	how = rule.CEL.Under(spec, scope)
	if how == policy.NotAtAll {
		return expression.False, "", how, nil
	}
	var either []string
	compares := true
	for _, e := range rule.CEL.Express(spec, scope) {
		violated := e.Violated()
		if violated == expression.False {
			continue
		}
		paths := scope.Compared(violated)
		compares = compares && len(paths) > 0
		for _, path := range paths {
			if !slices.Contains(compared, path) {
				compared = append(compared, path)
			}
		}
		either = append(either, scope.Bind(violated))
	}
	if !compares {
		compared = nil
	}
	slices.Sort(compared)
	if e, known := scope.Beyond(); known {
		beyond = e
	}
	return expression.Or(either...), beyond, how, compared
}

// touches says that a write touches what a rule evaluates, for a rule that CEL does not express exactly. Only if it compares fields, it
// does not evaluate an update that changes none of its fields.
func touches(rule *policy.Rule, w Write, compared []string) string {
	scope := &expression.Scope{Resource: w.Resource, Subresource: w.Subresource, Operation: w.Operation, Inline: true}
	switch {
	case rule.CEL.Touches != nil:
		return scope.Bind(rule.CEL.Touches(scope))
	case w.Operation != expression.Update, len(compared) == 0:
		return expression.True
	}
	return expression.Differ(rule.Doc.Fields...)
}

// matches says that a policy is for the kubelet of a write, and that it may be.
func matches(match *v1alpha1.Match, w Write) (certainly, possibly string) {
	if match == nil {
		return expression.True, expression.True
	}
	included, excluded := names(match, nodeOfUser)
	named := expression.And(included, expression.Not(excluded))
	switch {
	case match.NodeSelector == nil:
		return named, named
	case w.Resource != "nodes":
		return expression.False, named
	}
	own, selected := selectedNode(match.NodeSelector, w, nodeOfUser)
	return expression.And(named, own, selected), expression.And(named, expression.Or(expression.Not(own), selected))
}

// tooExpensive is the gap of a rule whose expression costs too much.
const tooExpensive = "its lists are so long that the expression would cost an API server too much"

// limit replaces expressions that cost too much: then whatever touches the rule is a possible violation.
func (v *Violation) limit() {
	if v.Cost = max(expression.Cost(v.Certain), expression.Cost(v.Possible), expression.Cost(v.Missed)); v.Cost <= MaxCost {
		return
	}
	v.Certain, v.Possible, v.Compared, v.CertainCompared, v.Gap = expression.False, v.touched, nil, nil, tooExpensive
	v.Missed, v.Cost = v.Possible, expression.Cost(v.Possible)
}

// TooExpensive reports whether the rule's expression costs too much, so that the webhook itself must find the violation.
func (v *Violation) TooExpensive() bool { return v.Gap == tooExpensive }

// Touched says that a write changes what the rule evaluates: it is true whenever the write violates the rule, and costs little.
func (v *Violation) Touched() string { return v.touched }
