// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"errors"
	"fmt"
	"strings"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// Report says how much of the rules of a policy has been compiled.
type Report struct {
	Policy      string
	Exactly     []policy.RuleID
	Partly, Not []Gap
	// Selector says that the policy has a match.nodeSelector.
	Selector bool

	kinds map[policy.RuleID]policy.Expressible
}

// Gap is a part of a rule that CEL does not express.
type Gap struct {
	Rule policy.RuleID
	Why  string
}

// reporter collects how much of each rule is expressed in the kinds of writes.
type reporter struct {
	name     string
	agents   bool // the policy is for node agents
	selector bool
	kinds    map[policy.RuleID]policy.Expressible
}

func newReport(p *v1alpha1.NodeRestrictionPolicy) *reporter {
	return &reporter{name: p.Name, agents: p.Spec.Subjects != nil, kinds: map[policy.RuleID]policy.Expressible{}}
}

// add keeps the least exact of the kinds of writes of a rule.
func (r *reporter) add(rule *policy.Rule, how policy.Expressible) {
	if before, has := r.kinds[rule.ID]; !has || before == policy.Exactly {
		r.kinds[rule.ID] = how
	}
}

func (r *reporter) finish(rules []policy.Rule) Report {
	report := Report{Policy: r.name, Selector: r.selector, kinds: r.kinds}
	for i := range rules {
		rule := &rules[i]
		switch r.kinds[rule.ID] {
		case policy.Exactly:
			report.Exactly = append(report.Exactly, rule.ID)
		case policy.Narrower, policy.Wider:
			report.Partly = append(report.Partly, Gap{rule.ID, rule.CEL.Why})
		case policy.NotAtAll:
			why := rule.CEL.Why
			if r.agents {
				why = agentGap
			}
			report.Not = append(report.Not, Gap{rule.ID, why})
		default:
			report.Not = append(report.Not, Gap{rule.ID, "its writes do not carry the labels of the Node"})
		}
	}
	return report
}

const selectorGap = "match.nodeSelector: only a write of a Node carries its labels"

// Summary returns one sentence.
func (r *Report) Summary() string {
	n := len(r.Exactly) + len(r.Partly) + len(r.Not)
	parts := []string{fmt.Sprintf("%s: %d of %d rules exactly", r.Policy, len(r.Exactly), n)}
	for _, part := range []struct {
		how  string
		gaps []Gap
	}{{"partly", r.Partly}, {"not", r.Not}} {
		if len(part.gaps) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", len(part.gaps), part.how, list(part.gaps)))
		}
	}
	if r.Selector {
		parts = append(parts, selectorGap)
	}
	return strings.Join(parts, ", ")
}

func list(gaps []Gap) string {
	texts := make([]string, len(gaps))
	for i, gap := range gaps {
		texts[i] = string(gap.Rule) + ": " + gap.Why
	}
	return strings.Join(texts, "; ")
}

// refusal returns an error if more has been left out, or made wider, than the option allows.
func (r *Report) refusal(partial Partial) error {
	var errs []error
	refuse := func(gaps []Gap, refused func(how policy.Expressible) bool) {
		for _, gap := range gaps {
			if refused(r.kinds[gap.Rule]) {
				errs = append(errs, fmt.Errorf("rule %s cannot be compiled exactly: %s", gap.Rule, gap.Why))
			}
		}
	}
	switch partial {
	case Narrower:
		return nil
	case Wider:
		refuse(append(r.Partly[:len(r.Partly):len(r.Partly)], r.Not...), func(how policy.Expressible) bool { return how != policy.Wider })
	default:
		refuse(append(r.Partly[:len(r.Partly):len(r.Partly)], r.Not...), func(policy.Expressible) bool { return true })
		if r.Selector {
			errs = append(errs, errors.New(selectorGap))
		}
	}
	return errors.Join(errs...)
}
