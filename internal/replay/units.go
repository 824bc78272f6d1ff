// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// unit is a rule of a policy, which is evaluated by itself.
type unit struct {
	policy string
	rule   policy.RuleID
	set    *policy.Set
	// fields are those that the rule compares.
	fields []string
	// hasValues says that the policy names values of labels or annotations of Nodes, not only keys.
	hasValues bool
}

// units are all rules of all policies, alone and together.
type units struct {
	all  []*unit
	sets map[string]*policy.Set // of several units, by their indexes
	of   map[string]*policy.Policy
	// whole are all policies, with all their rules.
	whole *policy.Set
	// mayLackNode are the policies for whose node agents a credential without a node is no violation.
	mayLackNode map[string]bool
	// paths are where objects name their node, by resource, as the policies say.
	paths map[string][]string
}

// maxSets bounds how many combinations of units are kept.
const maxSets = 512

func newUnits(policies []*v1alpha1.NodeRestrictionPolicy) (*units, error) {
	u := &units{sets: map[string]*policy.Set{}, of: map[string]*policy.Policy{}, mayLackNode: map[string]bool{}, paths: map[string][]string{}}
	var compiled []*policy.Policy
	for _, p := range policies {
		whole, errs := rules.NewCompiler().Compile(p)
		if len(errs) > 0 {
			return nil, fmt.Errorf("policy %q: %w", p.Name, errs.ToAggregate())
		}
		compiled = append(compiled, whole)
		u.addAgents(p)
		pairs, err := json.Marshal([]any{p.Spec.Nodes.Labels, p.Spec.Nodes.Annotations})
		if err != nil {
			return nil, err
		}
		for _, rule := range rules.All() {
			compiler, err := policy.NewCompiler([]policy.Rule{rule})
			if err != nil {
				return nil, err
			}
			compiled, errs := compiler.Compile(p)
			if len(errs) > 0 {
				return nil, fmt.Errorf("policy %q: %w", p.Name, errs.ToAggregate())
			}
			if len(compiled.Rules()) == 0 {
				continue
			}
			u.all = append(u.all, &unit{
				policy: p.Name, rule: rule.ID, set: policy.NewSet(compiled), fields: rule.Doc.Fields, hasValues: bytes.Contains(pairs, []byte("=")),
			})
			u.of[p.Name+"\x00"+string(rule.ID)] = compiled
		}
	}
	u.whole = policy.NewSet(compiled...)
	return u, nil
}

// addAgents notes what a policy says about node agents.
func (u *units) addAgents(p *v1alpha1.NodeRestrictionPolicy) {
	if p.Spec.Subjects == nil {
		return
	}
	u.mayLackNode[p.Name] = p.Spec.Subjects.WithoutNode == v1alpha1.AccessAllow
	for _, o := range p.Spec.Objects {
		resource := o.Resource
		if o.APIGroup != "" {
			resource += "." + o.APIGroup
		}
		if !slices.Contains(u.paths[resource], o.Node) {
			u.paths[resource] = append(u.paths[resource], o.Node)
		}
	}
}

// name reports whether a policy names the client of a write as a node agent, and evaluates such a write.
func (u *units) name(w *written) bool {
	return u.whole.Evaluates(&policy.Request{Subject: w.subject, NodeName: w.node, Write: w.write()})
}

// evaluating returns the units that evaluate such a write.
func (u *units) evaluating(r *policy.Request) []*unit {
	var found []*unit
	for _, one := range u.all {
		if one.set.Evaluates(r) {
			found = append(found, one)
		}
	}
	return found
}

// together returns a set of units.
func (u *units) together(all []*unit) *policy.Set {
	var b strings.Builder
	for _, one := range all {
		b.WriteString(one.policy + "\x00" + string(one.rule) + "\x01")
	}
	if set, has := u.sets[b.String()]; has {
		return set
	}
	compiled := make([]*policy.Policy, len(all))
	for i, one := range all {
		compiled[i] = u.of[one.policy+"\x00"+string(one.rule)]
	}
	set := policy.NewSet(compiled...)
	if len(u.sets) < maxSets {
		u.sets[b.String()] = set
	}
	return set
}

// reads reports whether the rule compares a part, or parts of its section that it does not name.
func (u *unit) reads(name partName) bool {
	for _, field := range u.fields {
		at := name.String()
		if field == at || field == name.section || strings.HasPrefix(field, at+".") {
			return true
		}
	}
	return false
}

// readsWhole reports whether the rule compares objects as they were sent, in writes whose parts other rules see.
func (u *unit) readsWhole() bool { return u.rule == directUpdates || u.rule == baselinePods }

const (
	directUpdates policy.RuleID = "node-direct-updates"
	baselinePods  policy.RuleID = "baseline-pods"
)

// lacks reports whether a rule that reads whole objects lacks something of them. An update that leaves a part as it is passes, whatever the
// part is.
func (u *unit) lacks(r *policy.Request) bool {
	switch {
	case r.Gaps == nil:
		return false
	case u.rule == directUpdates:
		return r.Gaps.LacksChanges()
	}
	return r.Operation == admissionv1.Create && r.Gaps.LacksValues()
}
