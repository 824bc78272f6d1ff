// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
)

// Set holds all policies that are in force at one time. It is immutable and safe for concurrent use.
type Set struct {
	policies []*Policy
	// kubelets and agents are the policies for kubelets and for node agents, by the writes that they evaluate.
	kubelets, agents map[write][]evaluator
}

// write is a kind of write, and the key by which a Set finds the policies that look at it.
type write struct {
	resource, subresource string
	operation             admissionv1.Operation
}

// evaluator is a policy with those of its checks that evaluate one kind of write.
type evaluator struct {
	policy *Policy
	checks []activeRule
}

// NewSet returns a set of policies. Their order does not matter.
func NewSet(policies ...*Policy) *Set {
	s := &Set{policies: slices.Clone(policies), kubelets: map[write][]evaluator{}, agents: map[write][]evaluator{}}
	slices.SortStableFunc(s.policies, func(a, b *Policy) int { return cmp.Compare(a.name, b.name) })
	for w := range s.writes() {
		for _, p := range s.policies {
			checks := p.checksOf(w)
			if len(checks) == 0 {
				continue
			}
			by := s.kubelets
			if p.ForAgents() {
				by = s.agents
			}
			by[w] = append(by[w], evaluator{p, checks})
		}
	}
	return s
}

// writes returns the kinds of writes that are targets of rules.
func (s *Set) writes() map[write]bool {
	writes := map[write]bool{}
	for _, p := range s.policies {
		for _, active := range p.rules {
			for _, t := range active.targets {
				for _, op := range t.Operations {
					writes[write{t.Resource, t.Subresource, op}] = true
				}
			}
		}
	}
	return writes
}

// checksOf returns the checks that evaluate a kind of write.
func (p *Policy) checksOf(w write) []activeRule {
	var checks []activeRule
	for _, active := range p.rules {
		if slices.ContainsFunc(active.targets, func(t Target) bool { return t.matches(w) }) {
			checks = append(checks, active)
		}
	}
	return checks
}

// evaluators returns the policies for kubelets, or those for node agents, that evaluate such a write. The rules for any subresource
// evaluate a subresource that no rule names.
func (s *Set) evaluators(r *Request) []evaluator {
	by := s.kubelets
	if !r.Subject.IsKubelet() {
		by = s.agents
	}
	if evaluators, named := by[write{r.Resource, r.Subresource, r.Operation}]; named || r.Subresource == "" {
		return evaluators
	}
	return by[write{r.Resource, AnySubresource, r.Operation}]
}

// Policies returns the policies of the set, sorted by name.
func (s *Set) Policies() []*Policy { return slices.Clone(s.policies) }

// LooksUpNodes reports whether any policy may look up the metadata of a Node, for its match.nodeSelector or because of a rule. Only
// these lookups, and those of addresses and provider IDs, must be answered from memory.
func (s *Set) LooksUpNodes() bool {
	return slices.ContainsFunc(s.policies, func(p *Policy) bool { return p.looksUp&LooksUpNodes != 0 })
}

// LooksUpAddresses reports whether any policy may look up which Nodes report an address.
func (s *Set) LooksUpAddresses() bool {
	return slices.ContainsFunc(s.policies, func(p *Policy) bool { return p.looksUp&LooksUpAddresses != 0 })
}

// LooksUpProviderIDs reports whether any policy may look up which Nodes have a provider ID.
func (s *Set) LooksUpProviderIDs() bool {
	return slices.ContainsFunc(s.policies, func(p *Policy) bool { return p.looksUp&LooksUpProviderIDs != 0 })
}

// Evaluates reports whether any policy evaluates such a write by such a client. It reads neither the objects nor Facts.
func (s *Set) Evaluates(r *Request) bool {
	for _, e := range s.evaluators(r) {
		if e.policy.Restricts(r) {
			return true
		}
	}
	return false
}

// Evaluate evaluates a write by all policies of the set. If an object is not well-formed, or a part that a rule reads cannot be decoded,
// each policy that would evaluate the write has one violation of rule Unverified, and the decision has the error. Evaluate must not be
// called for the same request by several goroutines at the same time.
func (s *Set) Evaluate(r *Request) Decision {
	d := Decision{Subject: r.Subject, NodeName: r.NodeName}
	evaluators := s.evaluators(r)
	undecodable := r.Undecodable
	if undecodable == "" {
		if d.Err = r.view.Open(&r.Write); d.Err == nil {
			var form formCheck
			for _, e := range evaluators {
				e.policy.evaluate(r, e.checks, &form, &d)
			}
			d.Err = r.view.Err()
		}
		if d.Err != nil {
			undecodable = Undecodable
		}
	}
	if undecodable != "" {
		d.Violations, d.Evaluators = unverified(r, evaluators, undecodable), nil
	}
	if len(d.Violations) > 0 {
		d.note = noteOn(r, evaluators)
	}
	return d
}

// unverified returns one violation of each policy that restricts the client.
func unverified(r *Request, evaluators []evaluator, detail string) []PolicyViolation {
	var vs []PolicyViolation
	for _, e := range evaluators {
		if e.policy.Restricts(r) {
			vs = append(vs, e.policy.violation(Unverified, Violation{Detail: detail}))
		}
	}
	return vs
}

// noteOn returns the note of the first rule that has one on the write of a kubelet.
func noteOn(r *Request, evaluators []evaluator) string {
	if !r.Subject.IsKubelet() {
		return ""
	}
	for _, e := range evaluators {
		for i := range e.checks {
			if rule := e.checks[i].rule; rule.Note != nil {
				if note := rule.Note(r); note != "" {
					return note
				}
			}
		}
	}
	return ""
}
