// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// Entry is what the chart needs to know of a section of a policy, or of its match, to say in CEL what violates it. The chart finds it by
// the rule and the section, so it cannot be out of date.
type Entry struct {
	// Rule is the rule that reads the section. Empty: the section is the match of a policy.
	Rule policy.RuleID `json:"rule,omitempty"`
	// Section is the section as JSON without spaces, with its keys sorted.
	Section string `json:"section"`
	// Writes has what violates the rule, by the name of the kind of write. Of a match, Writes says that the policy is for the kubelet.
	Writes map[string]EntryWrite `json:"writes,omitempty"`
	// Floor is what denies a registration that violates the rule.
	Floor *EntryFloor `json:"floor,omitempty"`
}

// EntryWrite is [Violation.Certain] with [Violation.CertainCompared].
type EntryWrite struct {
	Violates string   `json:"violates"`
	Compared []string `json:"compared,omitempty"`
	// Often says that most updates change one of the compared fields.
	Often bool `json:"often,omitempty"`
}

// EntryFloor is part of a ValidatingAdmissionPolicy. [PolicyName] in its texts stands for the name of the NodeRestrictionPolicy.
type EntryFloor struct {
	Variables   []admissionregistrationv1.Variable   `json:"variables,omitempty"`
	Validations []admissionregistrationv1.Validation `json:"validations"`
}

// PolicyName stands for the name of a policy in the texts of an entry.
const PolicyName = "$(policy)"

// AnyWrite is the name of the kinds of writes of a match that have no name of their own.
const AnyWrite = "*"

// Entries returns the entries of the sections of a valid policy that turns the given rules on, in the order of the rules, and what they
// leave out. Rules that CEL does not express have none, and neither have policies for node agents.
func Entries(p *v1alpha1.NodeRestrictionPolicy, rules []policy.Rule) ([]Entry, []Gap, error) {
	if p.Spec.Subjects != nil {
		return nil, nil, nil
	}
	var entries []Entry
	var gaps []Gap
	named := p.DeepCopy()
	named.Name = PolicyName
	named.Spec.Match = nil
	for i := range rules {
		entry, omitted, err := entryOf(named, &rules[i])
		if err != nil {
			return nil, nil, err
		}
		gaps = append(gaps, omitted...)
		if len(entry.Writes) > 0 || entry.Floor != nil {
			entries = append(entries, entry)
		}
	}
	if p.Spec.Match == nil {
		return entries, gaps, nil
	}
	entry, err := entryOfMatch(p)
	return append(entries, entry), gaps, err
}

func entryOf(p *v1alpha1.NodeRestrictionPolicy, rule *policy.Rule) (Entry, []Gap, error) {
	section, err := Section(p, rule.Doc.Spec)
	if err != nil {
		return Entry{}, nil, err
	}
	entry := Entry{Rule: rule.ID, Section: section, Writes: map[string]EntryWrite{}}
	var gaps []Gap
	for _, v := range Violations(p, []policy.Rule{*rule}) {
		if rule.CEL.Touches != nil && v.Write.Operation == expression.Update {
			continue // the chart has a condition of its own
		}
		if v.Gap == tooExpensive {
			gaps = append(gaps, Gap{rule.ID, v.Write.String() + ": " + v.Gap})
		}
		if v.Certain != expression.False && v.Write != Registration() {
			entry.Writes[v.Write.String()] = EntryWrite{v.Certain, v.CertainCompared, slices.ContainsFunc(v.CertainCompared, isNoisy)}
		}
	}
	entry.Floor, err = floorOf(p, rule)
	if limit := (*LimitError)(nil); errors.As(err, &limit) {
		return entry, append(gaps, Gap{rule.ID, Registration().String() + ": " + tooExpensive}), nil
	}
	return entry, gaps, err
}

func floorOf(p *v1alpha1.NodeRestrictionPolicy, rule *policy.Rule) (*EntryFloor, error) {
	compiled, err := Compile(p, []policy.Rule{*rule}, Options{Partial: Narrower})
	if err != nil {
		return nil, err
	}
	for _, kind := range compiled.Kinds {
		if kind.Write != Registration() {
			continue
		}
		floor := &EntryFloor{Validations: kind.Policy.Spec.Validations}
		for _, v := range kind.Policy.Spec.Variables {
			if v.Name != violatesName {
				floor.Variables = append(floor.Variables, v)
			}
		}
		return floor, nil
	}
	return nil, nil
}

func entryOfMatch(p *v1alpha1.NodeRestrictionPolicy) (Entry, error) {
	section, err := Section(p, "spec.match")
	if err != nil {
		return Entry{}, err
	}
	entry := Entry{Section: section, Writes: map[string]EntryWrite{}}
	for name, w := range map[string]Write{
		AnyWrite: {}, "nodes-update": {"nodes", "", expression.Update}, "nodes-status-update": {"nodes", "status", expression.Update},
	} {
		if certainly, _ := matches(p.Spec.Match, w); certainly != expression.False {
			entry.Writes[name] = EntryWrite{Violates: certainly}
		}
	}
	return entry, nil
}

// Section returns the part of a policy under a path such as spec.nodes.labels, as JSON without spaces and with sorted keys.
func Section(p *v1alpha1.NodeRestrictionPolicy, path string) (string, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	var section any
	if err := json.Unmarshal(data, &section); err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(path, ".") {
		fields, _ := section.(map[string]any)
		next, has := fields[name]
		if !has {
			return "", fmt.Errorf("the policy has no section %s", path)
		}
		section = next
	}
	data, err = json.Marshal(section)
	return string(data), err
}

// Gates returns, for each rule with a section that no stock kubelet violates, a policy that has this section.
func Gates(rules []policy.Rule) ([]*v1alpha1.NodeRestrictionPolicy, []policy.Rule, error) {
	var policies []*v1alpha1.NodeRestrictionPolicy
	var on []policy.Rule
	for i := range rules {
		if rules[i].CEL.Gate == "" {
			continue
		}
		object := rules[i].CEL.Gate
		path := strings.Split(rules[i].Doc.Spec, ".")
		for _, name := range slices.Backward(path) {
			object = `{"` + name + `":` + object + `}`
		}
		p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: PolicyName}}
		if err := json.Unmarshal([]byte(object), p); err != nil {
			return nil, nil, fmt.Errorf("rule %s: %w", rules[i].ID, err)
		}
		p.Name = PolicyName
		policies, on = append(policies, p), append(on, rules[i])
	}
	return policies, on, nil
}
