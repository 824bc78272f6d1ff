// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

const (
	// maxCandidates is how many elements a write may need. A kubelet writes fewer things at once that are not its own.
	maxCandidates = 64
	// maxChecks is how many compiled checks are kept.
	maxChecks = 4096
)

// oracle finds out which elements a write needs, by asking the rule itself.
type oracle struct {
	base     draft
	fields   map[string]*fieldSpec
	wideners map[policy.RuleID]widener
	rules    map[policy.RuleID]*policy.Rule
	checks   map[string]policy.Check // by rule and elements; nil: they do not compile
}

func newOracle(spec *v1alpha1.NodeRestrictionPolicySpec) (*oracle, error) {
	base, err := newDraft(spec)
	o := &oracle{
		base: base, fields: map[string]*fieldSpec{}, wideners: wideners(), rules: map[policy.RuleID]*policy.Rule{},
		checks: map[string]policy.Check{},
	}
	for _, f := range fieldSpecs() {
		o.fields[f.path] = &f
	}
	for _, rule := range rules.All() {
		o.rules[rule.ID] = &rule
	}
	return o, err
}

// needs returns the elements that a write needs, which violates a rule. It returns false if no elements allow the write.
func (o *oracle) needs(id policy.RuleID, r *policy.Request) ([]Element, bool) {
	widen := o.wideners[id]
	if widen == nil || r == nil {
		return nil, false
	}
	policy.NewSet().Evaluate(r) // opens the view of the request
	candidates := slices.DeleteFunc(sorted(widen(r)), func(e Element) bool { return !o.isLearnable(e) })
	allow := func(elements []Element) bool { return o.allows(id, r, elements) }
	if len(candidates) == 0 || len(candidates) > maxCandidates || !allow(o.widest(candidates)) || !allow(candidates) {
		return nil, false
	}
	needed := candidates
	for _, e := range candidates {
		without := slices.DeleteFunc(slices.Clone(needed), func(other Element) bool { return other == e })
		if allow(without) {
			needed = without
		}
	}
	return needed, true
}

// isLearnable reports whether the policy may have an element: it has no asterisk, which would match more, and its field can be widened.
func (o *oracle) isLearnable(e Element) bool {
	f := o.fields[e.Field]
	if f.needed && o.base.get(f.path) == nil {
		return false
	}
	return !strings.Contains(e.Key, "*") && !strings.Contains(e.Value, "*")
}

// widest returns an element for every key in place of those of fields with a probe.
func (o *oracle) widest(elements []Element) []Element {
	widest := slices.Clone(elements)
	for i, e := range widest {
		if o.fields[e.Field].probe {
			widest[i] = Element{Field: e.Field, Key: "*"}
		}
	}
	return sorted(widest)
}

// allows reports whether a write does not violate a rule of the base policy with elements. It returns false if that depends on a part of
// the write that is not known. All lookups fail.
func (o *oracle) allows(id policy.RuleID, r *policy.Request, elements []Element) bool {
	check := o.check(id, elements)
	if r.Gaps != nil {
		r.Gaps.Reset()
	}
	return check != nil && len(check(r)) == 0 && (r.Gaps == nil || len(r.Gaps.Asked()) == 0)
}

func (o *oracle) check(id policy.RuleID, elements []Element) policy.Check {
	key := string(id) + "\n" + signatureOf(elements)
	check, known := o.checks[key]
	if known {
		return check
	}
	if spec, err := o.base.with(o.fields, elements).spec(); err == nil {
		compiled, errs := o.rules[id].Compile(spec, field.NewPath("spec"))
		if len(errs) == 0 {
			check = compiled
		}
	}
	if len(o.checks) == maxChecks {
		clear(o.checks)
	}
	o.checks[key] = check
	return check
}
