// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy/pattern"
)

// Policy is a compiled NodeRestrictionPolicy. It is immutable.
type Policy struct {
	name       string
	generation int64
	action     v1alpha1.ValidationAction
	audited    bool
	subjects   *subjects // nil: kubelets
	match      matcher
	rules      []activeRule
	looksUp    Lookups
}

// activeRule is a rule that a policy turns on.
type activeRule struct {
	rule    *Rule
	targets []Target // the writes that it evaluates
	check   Check
}

// Compiler compiles policies by a list of rules. It is immutable.
type Compiler struct{ rules []Rule }

// NewCompiler returns a compiler for rules. The order of the list is that of their violations. The error names all rules that are
// incomplete or listed twice.
func NewCompiler(rules []Rule) (*Compiler, error) {
	if err := validate(rules); err != nil {
		return nil, err
	}
	return &Compiler{slices.Clone(rules)}, nil
}

// Rules returns the rules of the compiler, in their order.
func (c *Compiler) Rules() []Rule { return slices.Clone(c.rules) }

// Compile compiles a policy. The result is never nil: a section with an error turns its rule off, and the other rules stay on. If subjects
// or match has an error, the policy restricts nobody.
//
// Compile also validates what the schema of the CRD validates, for policies that did not pass an API server. Errors are in the order of
// the spec, each with its path, and at most 256.
func (c *Compiler) Compile(p *v1alpha1.NodeRestrictionPolicy) (*Policy, field.ErrorList) {
	at := field.NewPath("spec")
	compiled := &Policy{name: p.Name, generation: p.Generation}
	errs := compiled.compileActions(p.Spec.ValidationActions, at.Child("validationActions"))
	subjects, bad := compileSubjects(p.Spec.Subjects, at.Child("subjects"))
	compiled.subjects = subjects
	errs = append(errs, bad...)
	restrictsNobody := len(bad) > 0
	match, bad := compileMatch(p.Spec.Match, at.Child("match"))
	compiled.match = match
	errs = append(errs, bad...)
	restrictsNobody = restrictsNobody || len(bad) > 0
	if match.selector != nil {
		compiled.looksUp |= LooksUpNodes
	}
	for i := range c.rules {
		rule := &c.rules[i]
		if rule.LooksUp != nil {
			compiled.looksUp |= rule.LooksUp(&p.Spec)
		}
		check, bad := rule.Compile(&p.Spec, at)
		if refused := rule.refusal(&p.Spec, at); refused != nil && (check != nil || len(bad) > 0) {
			errs = appendOnce(errs, refused)
			continue
		}
		errs = append(errs, bad...)
		if check != nil && len(bad) == 0 && !restrictsNobody {
			compiled.rules = append(compiled.rules, activeRule{rule, rule.TargetsUnder(&p.Spec), check})
		}
	}
	return compiled, bounded(errs)
}

// appendOnce appends the refusal of a section, which several rules may share.
func appendOnce(errs field.ErrorList, refused *field.Error) field.ErrorList {
	if slices.ContainsFunc(errs, func(e *field.Error) bool { return e.Type == refused.Type && e.Field == refused.Field }) {
		return errs
	}
	return append(errs, refused)
}

// maxErrors is the largest number of reported errors of a policy.
const maxErrors = 256

// bounded returns the first errors of a list, which is as long as a policy makes it.
func bounded(errs field.ErrorList) field.ErrorList {
	if len(errs) > maxErrors {
		return errs[:maxErrors:maxErrors]
	}
	return errs
}

func (p *Policy) compileActions(actions []v1alpha1.ValidationAction, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	p.action = v1alpha1.Audit
	p.audited = slices.Contains(actions, v1alpha1.Audit)
	if len(actions) == 0 {
		p.action = v1alpha1.Deny
		return field.ErrorList{field.Required(at, "must have at least one of Deny, Warn and Audit")}
	}
	if errs := pattern.CheckLength(len(actions), 3, at); errs != nil {
		p.action = v1alpha1.Deny
		return errs
	}
	for i, a := range actions {
		bad := pattern.CheckEnum(a, at.Index(i), v1alpha1.Deny, v1alpha1.Warn, v1alpha1.Audit)
		if a == "" {
			bad = field.ErrorList{field.Required(at.Index(i), "must be Deny, Warn or Audit")}
		}
		errs = append(errs, bad...)
		if slices.Contains(actions[:i], a) {
			errs = append(errs, field.Duplicate(at.Index(i), a))
		}
		if a == v1alpha1.Deny || a == v1alpha1.Warn && p.action != v1alpha1.Deny {
			p.action = a
		}
	}
	if slices.Contains(actions, v1alpha1.Deny) && slices.Contains(actions, v1alpha1.Warn) {
		errs = append(errs, field.Invalid(at, actions, "Deny and Warn cannot be combined: a denied write already carries the message"))
	}
	return errs
}

// ForAgents reports whether the policy is for node agents instead of kubelets.
func (p *Policy) ForAgents() bool { return p.subjects != nil }

// WithoutNode returns what a policy for node agents does with a write whose client names no node.
func (p *Policy) WithoutNode() v1alpha1.ValidationAction {
	if p.AllowsWithoutNode() {
		return v1alpha1.Audit
	}
	return p.action
}

// AllowsWithoutNode reports whether the policy is for node agents and lets those write whose credentials name no node, with a record.
func (p *Policy) AllowsWithoutNode() bool { return p.subjects != nil && p.subjects.allowWithoutNode }

// Targets returns the writes that the rules of the policy evaluate, one for each operation, in the order of the compiler's list.
func (p *Policy) Targets() []Target {
	var targets []Target
	seen := map[write]bool{}
	for _, active := range p.rules {
		for _, t := range active.targets {
			for _, operation := range t.Operations {
				if w := (write{t.Resource, t.Subresource, operation}); !seen[w] {
					seen[w] = true
					targets = append(targets, Target{t.Resource, t.Subresource, []admissionv1.Operation{operation}})
				}
			}
		}
	}
	return targets
}

// Name returns the name of the NodeRestrictionPolicy.
func (p *Policy) Name() string { return p.name }

// Generation returns the metadata.generation of the NodeRestrictionPolicy.
func (p *Policy) Generation() int64 { return p.generation }

// Action returns the strongest of the policy's validationActions: Deny before Warn before Audit.
func (p *Policy) Action() v1alpha1.ValidationAction { return p.action }

// Rules returns the IDs of the rules that the policy turns on, in the order of the compiler's list.
func (p *Policy) Rules() []RuleID {
	ids := make([]RuleID, len(p.rules))
	for i, active := range p.rules {
		ids[i] = active.rule.ID
	}
	return ids
}

// RulesOn returns the IDs of the rules that the policy turns on and that evaluate such a write, in the order of the compiler's list.
func (p *Policy) RulesOn(resource, subresource string, operation admissionv1.Operation) []RuleID {
	var ids []RuleID
	for _, active := range p.checksOf(write{resource, subresource, operation}) {
		ids = append(ids, active.rule.ID)
	}
	return ids
}

// evaluate appends to a decision what the checks of the policy find.
func (p *Policy) evaluate(r *Request, checks []activeRule, form *formCheck, d *Decision) {
	if !p.Restricts(r) {
		return
	}
	unverified := func(detail string) {
		d.Violations = append(d.Violations, p.violation(Unverified, Violation{Detail: detail}))
	}
	if r.namesNoNode() {
		d.Violations = append(d.Violations, p.withoutNode())
	}
	if r.outOfTime() {
		unverified(OutOfTime)
		return
	}
	matches, err := p.matchLabels(r)
	if err != nil {
		unverified("the labels of the Node could not be looked up")
		return
	}
	if !matches {
		return
	}
	if detail := form.unverifiable(r); detail != "" {
		unverified(detail)
		return
	}
	for i := range checks {
		active := &checks[i]
		if r.outOfTime() {
			unverified(OutOfTime)
			return
		}
		found := active.check(r)
		slices.SortStableFunc(found, func(a, b Violation) int { return cmp.Compare(a.Field, b.Field) })
		for _, v := range found {
			d.Violations = append(d.Violations, p.violation(active.rule.ID, v))
		}
	}
	d.Evaluators = append(d.Evaluators, p)
}

// formCheck finds out once for all policies whether a quantity of the object is too expensive to evaluate.
type formCheck struct {
	done   bool
	detail string
}

func (c *formCheck) unverifiable(r *Request) string {
	if !c.done {
		c.done, c.detail = true, r.view.UnverifiableQuantity()
	}
	return c.detail
}

// Restricts reports whether the policy is for the client of a write, by its name and that of its node. The labels of its Node may decide
// otherwise. A client without a node could be on any.
func (p *Policy) Restricts(r *Request) bool {
	return p.subjects.name(r.Subject) && (r.namesNoNode() || p.match.matchName(r.NodeName))
}

// matchLabels reports whether the policy is for a client, by the labels of its Node.
func (p *Policy) matchLabels(r *Request) (bool, error) {
	if r.namesNoNode() {
		return true, nil
	}
	return p.match.matchLabels(r)
}

// withoutNode returns the violation of a client whose credential names no node.
func (p *Policy) withoutNode() PolicyViolation {
	v := p.violation(WithoutNode, Violation{Detail: mustNameNode})
	if p.AllowsWithoutNode() {
		v.Action, v.Audited = v1alpha1.Audit, true
	}
	return v
}

func (p *Policy) violation(rule RuleID, v Violation) PolicyViolation {
	return PolicyViolation{
		Policy: p.name, Generation: p.generation, Rule: rule, Violation: v, Action: p.action, Audited: p.audited,
	}
}
