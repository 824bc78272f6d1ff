// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/policy/object"
)

// Set is all policies that hold at one moment. It is immutable and safe for concurrent use.
type Set struct {
	policies []*Policy
	byWrite  map[write][]judge
}

// write is a kind of write, the key under which a Set finds who judges it.
type write struct {
	resource, subresource string
	operation             admissionv1.Operation
}

// judge is a policy with those of its checks that look at one kind of write.
type judge struct {
	policy *Policy
	checks []activeRule
}

// NewSet puts policies together. Their order does not matter.
func NewSet(policies ...*Policy) *Set {
	s := &Set{policies: slices.Clone(policies), byWrite: map[write][]judge{}}
	slices.SortStableFunc(s.policies, func(a, b *Policy) int { return cmp.Compare(a.name, b.name) })
	for w := range s.writes() {
		for _, p := range s.policies {
			if checks := p.checksOf(w); len(checks) > 0 {
				s.byWrite[w] = append(s.byWrite[w], judge{p, checks})
			}
		}
	}
	return s
}

// writes are the kinds of writes that any rule of any policy names.
func (s *Set) writes() map[write]bool {
	writes := map[write]bool{}
	for _, p := range s.policies {
		for _, active := range p.rules {
			for _, t := range active.rule.Targets {
				for _, op := range t.Operations {
					writes[write{t.Resource, t.Subresource, op}] = true
				}
			}
		}
	}
	return writes
}

// checksOf are the checks that look at a kind of write.
func (p *Policy) checksOf(w write) []activeRule {
	var checks []activeRule
	for _, active := range p.rules {
		if slices.ContainsFunc(active.rule.Targets, func(t Target) bool { return t.matches(w) }) {
			checks = append(checks, active)
		}
	}
	return checks
}

// judges are the policies that look at a request. A subresource that no rule names falls to those that look at all.
func (s *Set) judges(r *Request) []judge {
	if judges, named := s.byWrite[write{r.Resource, r.Subresource, r.Operation}]; named || r.Subresource == "" {
		return judges
	}
	return s.byWrite[write{r.Resource, AnySubresource, r.Operation}]
}

// Policies are the policies of the set, sorted by name.
func (s *Set) Policies() []*Policy { return slices.Clone(s.policies) }

// LooksUpNodes reports whether any policy may ask Facts for the metadata of a Node: for its match.nodeSelector, or because of a rule. Apart
// from lookups of addresses, only these must be answered from memory.
func (s *Set) LooksUpNodes() bool {
	return slices.ContainsFunc(s.policies, func(p *Policy) bool { return p.looksUp&LooksUpNodes != 0 })
}

// LooksUpAddresses reports whether any policy may ask Facts whose an address is.
func (s *Set) LooksUpAddresses() bool {
	return slices.ContainsFunc(s.policies, func(p *Policy) bool { return p.looksUp&LooksUpAddresses != 0 })
}

// Judges reports whether any policy would look at the request. It needs neither the objects nor Facts, so a caller can
// leave them undecoded where it is false.
func (s *Set) Judges(r *Request) bool {
	for _, j := range s.judges(r) {
		if j.policy.match.matchName(r.NodeName) {
			return true
		}
	}
	return false
}

// Decode decodes of a request's objects what the policies of the set look at, at most once what is the same in both objects. Its
// errors are those of [Request.Decode].
func (s *Set) Decode(r *Request) error {
	switch r.Operation {
	case admissionv1.Update:
	case admissionv1.Delete:
		return r.View.Decode(r.written(), readAtDeletion(r.Resource))
	default:
		return r.Decode()
	}
	if err := r.Split(r.written()); err != nil {
		return err
	}
	return r.View.Decode(r.written(), s.reads(r))
}

// readAtDeletion are the parts that rules, and the selectors of policies, look at in a deletion.
func readAtDeletion(resource string) object.PartSet {
	parts := object.PartsOf([]string{
		"metadata.name", "metadata.namespace", "metadata.uid", "metadata.annotations", "metadata.deletionTimestamp",
		"spec.nodeName", "status.phase",
	})
	if resource == "nodes" {
		parts |= 1 << object.MetadataLabels
	}
	return parts
}

// reads are the parts that the policies look at in an update.
func (s *Set) reads(r *Request) object.PartSet {
	var wanted object.PartSet
	for _, j := range s.judges(r) {
		if !j.policy.match.matchName(r.NodeName) {
			continue
		}
		if j.policy.match.selector != nil {
			wanted |= 1 << object.MetadataLabels
		}
		for i := range j.checks {
			if check := &j.checks[i]; !check.unconcerned(r) {
				wanted |= check.reads
			}
		}
	}
	return wanted
}

// Evaluate judges a write. The request must have been decoded, or say why it is Unjudgeable.
func (s *Set) Evaluate(r *Request) Decision {
	d := Decision{NodeName: r.NodeName}
	var form formCheck
	judges := s.judges(r)
	for _, j := range judges {
		d.Violations = j.policy.evaluate(r, j.checks, &form, d.Violations)
	}
	if len(d.Violations) > 0 {
		d.note = noteOn(r, judges)
	}
	return d
}

// noteOn is what the first rule with a note says of a write that it looks at.
func noteOn(r *Request, judges []judge) string {
	for _, j := range judges {
		for i := range j.checks {
			if rule := j.checks[i].rule; rule.Note != nil {
				if note := rule.Note(r); note != "" {
					return note
				}
			}
		}
	}
	return ""
}
