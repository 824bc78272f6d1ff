// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

const (
	// maxText is how many bytes the policies may add to the gate in all kinds of writes, and maxGateText and maxOpenText how many to the
	// gate and to another webhook in one kind. An API server compiles all conditions when one changes, at up to 50 KB per second of CPU
	// time and less for longer ones, and kubelets' writes of Nodes and pods wait for that.
	maxText     = 96 << 10
	maxGateText = 32 << 10
	maxOpenText = 16 << 10
	// maxGateCost is how much the violations of a kind of write in the gate may cost, of the largest objects within the bounds of
	// package expression at once. An API server evaluates an expression up to 1,000,000, and refuses what costs more. Estimates are well
	// above the real cost, and no kubelet's object comes near these bounds.
	maxGateCost = 1_500_000
	// maxFloorCost is the same of the floor, whose expressions each have a budget of their own, and 10,000,000 together.
	maxFloorCost = 5_000_000
	// maxOpenCost is the same of the other webhooks, which miss what costs more.
	maxOpenCost = 400_000
	// maxListed is how many rules a message lists.
	maxListed = 8

	tooMuch = "all policies together would be too much for an API server"
	notSent = "the chart's values do not send these writes"
	ignored = "kubelets also write this in ways that must not fail"
)

// Policy is a policy in force.
type Policy struct {
	Name string
	// Denies says that it denies what violates it.
	Denies bool
	// Rules are those that it turns on.
	Rules []policy.RuleID
	Spec  *v1alpha1.NodeRestrictionPolicySpec
}

// Composed is what the objects must have.
type Composed struct {
	Webhooks Webhooks
	// Floor is nil if none is kept up to date.
	Floor *Floor
	// Findings say of each policy, by name, how it is gated while the objects are up to date.
	Findings map[string]Finding
	// Inexpressible and Refused are how many rules of policies that deny are not refused while no replica answers: because CEL cannot
	// express them, and because they would be too large or too expensive.
	Inexpressible, Refused int
}

// Floor is the part of the floor's policy that is kept up to date.
type Floor struct {
	Variables        []admissionregistrationv1.Variable        `json:"variables,omitempty"`
	Validations      []admissionregistrationv1.Validation      `json:"validations,omitempty"`
	AuditAnnotations []admissionregistrationv1.AuditAnnotation `json:"auditAnnotations,omitempty"`
}

// Finding says how a policy is gated, as in a condition of its status.
type Finding struct {
	Status          metav1.ConditionStatus
	Reason, Message string
}

// The reasons of a finding.
const (
	Complete   = "Complete"   // everything that the policy denies
	Partial    = "Partial"    // except what the message names
	Refused    = "Refused"    // nothing: its expressions are too large or too expensive, or CEL cannot express them
	NotDenying = "NotDenying" // nothing: it does not deny
	NodeAgents = "NodeAgents" // nothing: it is for node agents, whose writes no condition is about
)

// Compose returns the conditions for the policies in force, given all rules. The result depends on the arguments only.
func Compose(base *Base, inForce []Policy, rules []policy.Rule) *Composed {
	c := &Composed{Webhooks: Webhooks{}, Findings: map[string]Finding{}}
	all := violationsOf(inForce, rules)
	s := &sending{kinds: compile.WritesOf(rules), lines: map[compile.Write]drawn{}, omitted: map[omission]bool{}}
	s.draw(base, slices.Concat(all...))
	for i := range base.Webhooks {
		webhook := &base.Webhooks[i]
		c.Webhooks[webhook.Name] = s.conditions(webhook)
	}
	for i := range inForce {
		c.find(&inForce[i], all[i], s, rules)
	}
	if base.Floor != "" {
		c.Floor = floorFor(slices.Concat(all...), s)
	}
	return c
}

// drawn says of a kind of write, in CEL, which writes certainly violate a policy that denies, and which others may violate a policy.
type drawn struct{ gate, open string }

// sending is which kinds of writes are sent where.
type sending struct {
	kinds []compile.Write // all
	// lines are those of the kinds that a webhook is sent.
	lines map[compile.Write]drawn
	// gated are the kinds that the gate is sent, and registrations, if there is a floor that denies them.
	gated map[compile.Write]bool
	// omitted are violations for which the budget does not suffice.
	omitted map[omission]bool
	// text is how many bytes the gate has so far.
	text int
}

type omission struct {
	policy string
	rule   policy.RuleID
	write  compile.Write
}

func (s *sending) omits(v *compile.Violation) bool {
	return s.omitted[omission{v.Policy, v.Rule, v.Write}]
}

// draw draws the line through each kind of write that a webhook is sent.
func (s *sending) draw(base *Base, violations []compile.Violation) {
	s.gated = map[compile.Write]bool{compile.Registration(): base.Floor != ""}
	for _, w := range s.kinds {
		sent := false
		for i := range base.Webhooks {
			if sends(&base.Webhooks[i], w) {
				sent = true
				s.gated[w] = s.gated[w] || base.Webhooks[i].Name == gate
			}
		}
		if !sent {
			continue
		}
		s.lines[w] = s.line(w, violations)
	}
}

// line draws the line through a kind of write. An expression that two policies share is evaluated once. What exceeds the budget is sent, as
// far as it changes what the rule evaluates, but not refused.
func (s *sending) line(w compile.Write, violations []compile.Violation) drawn {
	var certain, others []compile.Violation
	touched := []string{}
	seen := map[string]bool{}
	left := budget{gateCost: maxGateCost, openCost: maxOpenCost, gateText: min(maxGateText, maxText-s.text), openText: maxOpenText}
	if w == compile.Registration() {
		left.gateCost = maxFloorCost
	}
	for i := range violations {
		v := &violations[i]
		if v.Write != w {
			continue
		}
		denies := v.Denies && s.gated[w]
		key := fmt.Sprintf("%t %s %s %s", denies, v.Certain, v.Missed, v.Possible)
		if seen[key] {
			continue
		}
		gate, open := expression.False, v.Possible
		if denies {
			gate, open = v.Certain, v.Missed
		}
		if !left.spend(gate, open) {
			s.omitted[omission{v.Policy, v.Rule, w}] = true
			touched = append(touched, v.Touched())
			continue
		}
		seen[key] = true
		s.text += len(gate)
		if denies {
			certain = append(certain, *v)
		} else {
			others = append(others, *v)
		}
	}
	slices.Sort(touched)
	return drawn{
		gate: compile.AnyOf(certain, compile.Certain),
		open: expression.Or(slices.Concat(
			[]string{compile.AnyOf(others, compile.Possible), compile.AnyOf(certain, compile.Missed)}, slices.Compact(touched))...),
	}
}

// budget is what is left for a kind of write.
type budget struct {
	gateCost, openCost uint64
	gateText, openText int
}

// spend takes the expressions for the gate and for another webhook from the budget, if it suffices.
func (b *budget) spend(gate, open string) bool {
	gateCost, openCost := expression.Cost(gate), expression.Cost(open)
	if gateCost > b.gateCost || openCost > b.openCost || len(gate) > b.gateText || len(open) > b.openText {
		return false
	}
	b.gateCost -= gateCost
	b.openCost -= openCost
	b.gateText -= len(gate)
	b.openText -= len(open)
	return true
}

// sends reports whether the rules of a webhook have a kind of write.
func sends(webhook *admissionregistrationv1.ValidatingWebhook, w compile.Write) bool {
	resource, group, _ := strings.Cut(w.Resource, ".")
	if w.Subresource != "" {
		resource += "/" + w.Subresource
	}
	return slices.ContainsFunc(webhook.Rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		return slices.Contains(r.APIGroups, group) && slices.Contains(r.Resources, resource) &&
			slices.Contains(r.Operations, admissionregistrationv1.OperationType(w.Operation))
	})
}

// What follows the name of a kind of write in the names of conditions that the chart renders for what is composed here: what may violate a
// policy, and what the gate is not sent. Each has a budget of its own. That of the second is the same as in the gate, which refuses
// whatever exceeds it.
const (
	openSuffix    = "-open"
	notGateSuffix = "-not-gate"
)

// conditions returns the match conditions of a webhook. Those with the name of a kind of write are about that kind only, and true for
// all other writes. Without them, the condition "line" is about all kinds.
func (s *sending) conditions(webhook *admissionregistrationv1.ValidatingWebhook) []admissionregistrationv1.MatchCondition {
	list := slices.Clone(webhook.MatchConditions)
	byKind := false
	for i := range list {
		m := &list[i]
		for _, w := range s.kinds {
			d, sent := s.lines[w]
			if !sent {
				continue
			}
			other := expression.Not(expression.And(compile.IsKubelet, w.Is(s.kinds)))
			switch m.Name {
			case w.String():
				byKind = true
				if webhook.Name == gate {
					// Nested less deeply, it compiles faster.
					m.Expression = expression.Or(m.Expression, notProbe(w, d.gate))
				}
			case w.String() + openSuffix:
				m.Expression = expression.Or(other, d.open)
			case w.String() + notGateSuffix:
				m.Expression = expression.Or(other, expression.Not(d.gate))
			}
		}
	}
	if !byKind {
		at := lineOf(webhook)
		list[at].Expression = s.wholeLine(webhook, list[at].Expression)
	}
	return list
}

// wholeLine returns a condition about all kinds of writes of a webhook other than the gate, given what it was before any policy.
func (s *sending) wholeLine(webhook *admissionregistrationv1.ValidatingWebhook, before string) string {
	if webhook.Name == gate {
		certain := s.choose(webhook, func(d drawn) string { return d.gate }, expression.False)
		return expression.Or(before, expression.And(compile.IsKubelet, expression.Not(isProbe), "("+certain+")"))
	}
	passes := func(d drawn) string { return expression.And(d.open, expression.Not(d.gate)) }
	if webhook.Name == registration {
		passes = func(d drawn) string { return d.open } // the floor has denied the rest before
	}
	sent := "(" + s.choose(webhook, passes, expression.True) + ")"
	return expression.And(before, expression.Or(expression.Not(compile.IsKubelet), isProbe, sent))
}

// notProbe excludes the enforcement probes of other webhooks, which create CSINodes.
func notProbe(w compile.Write, violates string) string {
	if strings.HasPrefix(w.Resource, "csinodes") && w.Operation == expression.Create {
		return expression.And(expression.Not(isProbe), violates)
	}
	return violates
}

// isProbe says that the client is the enforcement probe, whose writes violate no policy.
const isProbe = "request.userInfo.username == '" + expression.UserPrefix + program.Name + "-probe'"

// choose returns the expression of the kind of write that a request is of, or another one for kinds that no rule evaluates.
func (s *sending) choose(webhook *admissionregistrationv1.ValidatingWebhook, of func(drawn) string, otherwise string) string {
	var b strings.Builder
	for _, w := range s.kinds {
		l, sent := s.lines[w]
		if e := of(l); sent && sends(webhook, w) && e != otherwise {
			fmt.Fprintf(&b, "%s ? (%s) : ", w.Is(s.kinds), e)
		}
	}
	return b.String() + otherwise
}

// violationsOf returns the violations of each policy.
func violationsOf(inForce []Policy, rules []policy.Rule) [][]compile.Violation {
	all := make([][]compile.Violation, len(inForce))
	for i := range inForce {
		p := &inForce[i]
		on := slices.DeleteFunc(slices.Clone(rules), func(r policy.Rule) bool { return !slices.Contains(p.Rules, r.ID) })
		all[i] = compile.Violations(&v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: p.Name}, Spec: *p.Spec}, on)
	}
	return all
}

// find finds out how a policy is gated, and counts its gaps.
func (c *Composed) find(p *Policy, violations []compile.Violation, s *sending, rules []policy.Rule) {
	if p.Spec.Subjects != nil {
		c.Findings[p.Name] = Finding{
			metav1.ConditionFalse, NodeAgents, "the policy is for node agents, whose writes continue while no replica answers",
		}
		return
	}
	if !p.Denies {
		c.Findings[p.Name] = Finding{
			metav1.ConditionFalse, NotDenying, "the policy denies nothing, so nothing is refused while no replica answers",
		}
		return
	}
	sent, gateable := map[policy.RuleID]bool{}, map[policy.RuleID]bool{}
	for i := range violations {
		v := &violations[i]
		_, isSent := s.lines[v.Write]
		sent[v.Rule] = sent[v.Rule] || isSent
		gateable[v.Rule] = gateable[v.Rule] || s.gated[v.Write]
	}
	why := map[policy.RuleID]string{}
	var order []policy.RuleID
	gated := 0
	for i := range violations {
		v := &violations[i]
		_, isSent := s.lines[v.Write]
		text := v.Gap
		switch {
		case !sent[v.Rule]:
			text = notSent
		case !gateable[v.Rule]:
			text = ignored
		case !isSent:
			continue // a subresource that no API server has
		case s.omits(v):
			text = tooMuch
		case v.Certain != expression.False:
			gated++
		}
		if text == "" {
			continue
		}
		if why[v.Rule] != "" {
			continue
		}
		order = append(order, v.Rule)
		why[v.Rule] = text
		if text == tooMuch || v.TooExpensive() {
			c.Refused++
		} else {
			c.Inexpressible++
		}
	}
	for i := range rules {
		// What never makes a write a violation in CEL, not even a possible one.
		if r := &rules[i]; r.CEL.Kind == policy.NotAtAll && slices.Contains(p.Rules, r.ID) && !hasRule(violations, r.ID) {
			order = append(order, r.ID)
			why[r.ID] = r.CEL.Why
			c.Inexpressible++
		}
	}
	var listed []string
	for i, rule := range order {
		if i == maxListed {
			listed = append(listed, fmt.Sprintf("and %d more", len(order)-maxListed))
			break
		}
		listed = append(listed, fmt.Sprintf("%s (%s)", rule, why[rule]))
	}
	f := Finding{metav1.ConditionTrue, Complete, "what the policy denies is also refused while no replica answers"}
	switch {
	case len(order) > 0 && gated == 0:
		f = Finding{metav1.ConditionFalse, Refused, "what the policy denies passes while no replica answers: " + strings.Join(listed, "; ")}
	case len(order) > 0:
		f.Reason, f.Message = Partial, f.Message+", except what only the webhook can evaluate: "+strings.Join(listed, "; ")
	}
	c.Findings[p.Name] = f
}

func hasRule(violations []compile.Violation, id policy.RuleID) bool {
	return slices.ContainsFunc(violations, func(v compile.Violation) bool { return v.Rule == id })
}

// floorFor returns the validations for registrations.
func floorFor(all []compile.Violation, s *sending) *Floor {
	f := &Floor{}
	var denied []string
	byPolicy, byRule := map[string][]string{}, map[string][]string{}
	for i := range all {
		v := &all[i]
		if v.Write != compile.Registration() || !v.Denies || v.Certain == expression.False || s.omits(v) {
			continue
		}
		name := fmt.Sprintf("violation%d", len(f.Variables)+1)
		violated := "variables." + name
		f.Variables = append(f.Variables, admissionregistrationv1.Variable{Name: name, Expression: v.Certain})
		f.Validations = append(f.Validations, admissionregistrationv1.Validation{
			Expression: expression.Not(violated), Reason: new(metav1.StatusReasonForbidden),
			Message: fmt.Sprintf("violates NodeRestrictionPolicy %q: %s", v.Policy, v.Rule.Reason()),
		})
		denied = append(denied, violated)
		byPolicy[v.Policy] = append(byPolicy[v.Policy], violated)
		byRule[string(v.Rule)] = append(byRule[string(v.Rule)], violated)
	}
	if len(f.Validations) == 0 {
		f.Validations = []admissionregistrationv1.Validation{{ // as the chart renders it
			Expression: expression.True, Message: "NodeRestriction-plus: no policy denies registrations", Reason: new(metav1.StatusReasonForbidden),
		}}
		return f
	}
	f.AuditAnnotations = []admissionregistrationv1.AuditAnnotation{
		{Key: "decision", ValueExpression: chosen(denied, string(policy.Denied))},
		{Key: "policy", ValueExpression: joined(byPolicy)},
		{Key: "rule", ValueExpression: joined(byRule)},
	}
	return f
}

// chosen returns a text if one of the conditions is true, and otherwise an empty one.
func chosen(conditions []string, text string) string {
	return expression.Or(conditions...) + " ? " + expression.Quote(text) + " : ''"
}

// joined returns the texts with a condition that is true, separated by commas.
func joined(conditions map[string][]string) string {
	var texts []string
	for _, text := range slices.Sorted(maps.Keys(conditions)) {
		texts = append(texts, chosen(conditions[text], text))
	}
	return "[" + strings.Join(texts, ", ") + "].filter(t, t != '').join(',')"
}
