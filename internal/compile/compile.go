// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// Partial says what happens to a rule that CEL does not express exactly.
type Partial string

// What happens to a rule that CEL does not express exactly.
const (
	Refuse   Partial = "refuse"   // it is an error
	Narrower Partial = "narrower" // nothing is denied that the webhook allows: what can be expressed is, and the rest is left out
	Wider    Partial = "wider"    // nothing is allowed that the webhook denies: a rule that cannot be wider is an error
)

// Options say how policies are compiled.
type Options struct {
	// Static makes the names those of files that an API server reads at its start.
	Static  bool
	Partial Partial
	// Actions replace the validationActions of the policy. Nil: they do not.
	Actions []v1alpha1.ValidationAction
}

// Compiled is a NodeRestrictionPolicy as an API server enforces it.
type Compiled struct {
	Kinds  []Kind
	Report Report
}

// Kind is a policy for one kind of write, with its binding.
type Kind struct {
	Write   Write
	Policy  *admissionregistrationv1.ValidatingAdmissionPolicy
	Binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding
	// Rules has the rule of each validation.
	Rules []policy.RuleID

	definers []policy.RuleID // the rule that defines each variable first; empty: none
}

// Compile compiles a valid policy, which turns the given rules on. It returns a [LimitError] if an API server would refuse the result, or
// could not afford to evaluate it.
func Compile(p *v1alpha1.NodeRestrictionPolicy, rules []policy.Rule, options Options) (*Compiled, error) {
	c := &compilation{policy: p, options: options, report: newReport(p)}
	out := &Compiled{}
	kinds := writesUnder(rules, &p.Spec)
	var excess excesses
	for _, w := range kinds {
		kind, err := c.kind(w, rules, kinds)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", v1alpha1.Kind, p.Name, err)
		}
		if kind != nil {
			excess.check(kind)
			out.Kinds = append(out.Kinds, *kind)
		}
	}
	if err := excess.err(p.Name, rules); err != nil {
		return nil, err
	}
	out.Report = c.report.finish(rules)
	if err := out.Report.refusal(options.Partial); err != nil {
		return nil, fmt.Errorf("%s %q: %w", v1alpha1.Kind, p.Name, err)
	}
	return out, nil
}

// compilation compiles one policy.
type compilation struct {
	policy  *v1alpha1.NodeRestrictionPolicy
	options Options
	report  *reporter
}

// validation is an expression of a rule as a variable.
type validation struct {
	rule     policy.RuleID
	variable string
	expression.Expression
}

// violated says that the write violates the rule.
func (v *validation) violated() string {
	if v.Names != "" {
		return expression.NotEmpty(v.variable)
	}
	return v.variable
}

// kind compiles the rules that evaluate a kind of write. It returns nil if no write of the kind can violate them.
func (c *compilation) kind(w Write, rules []policy.Rule, kinds []Write) (*Kind, error) {
	conditions, skip := c.conditions(w, kinds)
	if skip {
		return nil, nil
	}
	scope := &expression.Scope{Resource: w.Resource, Subresource: w.Subresource, Operation: w.Operation, Agents: c.forAgents()}
	validations := c.withoutNode(scope)
	definers := slices.Repeat([]policy.RuleID{""}, len(scope.Variables()))
	for i := range rules {
		if rule := &rules[i]; slices.ContainsFunc(rule.TargetsUnder(&c.policy.Spec), w.isOf) {
			validations = append(validations, c.validations(rule, scope)...)
			for len(definers) < len(scope.Variables()) {
				definers = append(definers, rule.ID)
			}
		}
	}
	if len(validations) == 0 {
		return nil, nil
	}
	name := c.name(w)
	if len(name) > maxName {
		return nil, fmt.Errorf("the name %s is longer than %d characters", name, maxName)
	}
	spec := admissionregistrationv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: new(admissionregistrationv1.Fail), MatchConstraints: w.constraints(), MatchConditions: conditions,
		AuditAnnotations: c.auditAnnotations(validations, scope),
	}
	for _, v := range scope.Variables() {
		spec.Variables = append(spec.Variables, admissionregistrationv1.Variable{Name: v.Name, Expression: v.Expression})
	}
	kind := &Kind{Write: w, definers: definers}
	for i := range validations {
		spec.Validations = append(spec.Validations, c.validation(&validations[i]))
		kind.Rules = append(kind.Rules, validations[i].rule)
	}
	kind.Policy, kind.Binding = policyAndBinding(name, spec, c.actions())
	return kind, nil
}

// validations returns the expressions of a rule, each as a variable of the scope.
func (c *compilation) validations(rule *policy.Rule, scope *expression.Scope) []validation {
	how := c.expressible(rule, scope)
	c.report.add(rule, how)
	if how == policy.NotAtAll || how == policy.Wider && c.options.Partial == Narrower {
		return nil
	}
	var validations []validation
	for _, e := range rule.CEL.Express(&c.policy.Spec, scope) {
		value := cmp.Or(e.Names, e.Violates)
		if value == expression.False || value == expression.None {
			continue
		}
		name := fmt.Sprintf("%s%d", camel(string(rule.ID)), len(validations)+1)
		validations = append(validations, validation{rule.ID, scope.Define(name, value), e})
	}
	return validations
}

// camel returns a name in kebab-case as an identifier.
func camel(id string) string {
	words := strings.Split(id, "-")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// maxName is the length of the longest name of an object.
const maxName = 253

func (c *compilation) name(w Write) string {
	name := program.Name + "." + c.policy.Name + "." + w.String()
	if c.options.Static {
		name += staticSuffix
	}
	return name
}

func (c *compilation) actions() []admissionregistrationv1.ValidationAction {
	actions := c.options.Actions
	if actions == nil {
		actions = c.policy.Spec.ValidationActions
	}
	return serverActions(actions)
}

// serverActions returns actions as the API server names them.
func serverActions(actions []v1alpha1.ValidationAction) []admissionregistrationv1.ValidationAction {
	all := make([]admissionregistrationv1.ValidationAction, len(actions))
	for i, a := range actions {
		all[i] = admissionregistrationv1.ValidationAction(a)
	}
	return all
}

func (w Write) constraints() *admissionregistrationv1.MatchResources {
	resource, group, _ := strings.Cut(w.Resource, ".")
	if w.Subresource != "" {
		resource += "/" + w.Subresource
	}
	versions := []string{"*"}
	if group == "" {
		versions = []string{"v1"}
	}
	return &admissionregistrationv1.MatchResources{
		MatchPolicy: new(admissionregistrationv1.Equivalent),
		ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationType(w.Operation)},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: versions, Resources: []string{resource}},
		}}},
	}
}

// maxName characters of a name are shown in a message.
const maxShown = 128

// validation returns a validation of a policy. Only after the answer Forbidden does a kubelet continue to register. Its message names the
// first of what violates the rule.
func (c *compilation) validation(v *validation) admissionregistrationv1.Validation {
	before := fmt.Sprintf("violates NodeRestrictionPolicy %q: %s (%s", c.policy.Name, v.rule.Reason(), v.Message)
	out := admissionregistrationv1.Validation{
		Expression: expression.Not(v.violated()), Message: before + ")", Reason: new(metav1.StatusReasonForbidden),
	}
	if v.Names == "" {
		return out
	}
	out.Expression = "size(" + v.variable + ") == 0"
	first := "string(" + v.variable + "[0])"
	out.MessageExpression = fmt.Sprintf("size(%s) == 0 ? %s : %s + (size(%s) > %d ? %s.substring(0, %d) : %s) + %s",
		v.variable, expression.Quote(out.Message), expression.Quote(before+` "`), first, maxShown, first, maxShown, first,
		expression.Quote(`")`))
	return out
}

// violatesName is the name of the variable that says that a write violates one of the rules.
const violatesName = "violates"

// auditAnnotations have the keys of the webhook's. An empty one is left out.
func (c *compilation) auditAnnotations(validations []validation, scope *expression.Scope) []admissionregistrationv1.AuditAnnotation {
	var rules []policy.RuleID
	var all []string
	byRule := map[policy.RuleID][]string{}
	for i := range validations {
		v := &validations[i]
		if byRule[v.rule] == nil {
			rules = append(rules, v.rule)
		}
		byRule[v.rule] = append(byRule[v.rule], v.violated())
		all = append(all, v.violated())
	}
	violated := scope.Define(violatesName, expression.Or(all...))
	var names []string
	for _, rule := range rules {
		names = append(names, expression.Or(byRule[rule]...)+" ? "+expression.Quote(string(rule))+" : ''")
	}
	return []admissionregistrationv1.AuditAnnotation{
		{Key: "decision", ValueExpression: violated + " ? " + expression.Quote(c.decision()) + " : ''"},
		{Key: "policy", ValueExpression: violated + " ? " + expression.Quote(c.policy.Name) + " : ''"},
		{Key: "rule", ValueExpression: "[" + strings.Join(names, ", ") + "].filter(r, r != '').join(',')"},
	}
}

func (c *compilation) decision() string { return decisionOf(c.actions()) }

// decisionOf returns the outcome of a write that violates a policy with these actions.
func decisionOf(actions []admissionregistrationv1.ValidationAction) string {
	switch {
	case slices.Contains(actions, admissionregistrationv1.Deny):
		return string(policy.Denied)
	case slices.Contains(actions, admissionregistrationv1.Warn):
		return string(policy.Warned)
	}
	return string(policy.Audited)
}
