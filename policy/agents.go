// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

// Agents says what a rule means in a policy for node agents, one with spec.subjects. The zero value, and a value with Why, means nothing:
// the rule's section is then refused beside spec.subjects.
type Agents struct {
	// Why completes the error of a section that is refused, such as: kubelets alone register Nodes.
	Why string
	// Targets are the writes by node agents that the rule evaluates.
	Targets []Target
	// TargetsUnder returns further such writes, which depend on the spec. Nil: none.
	TargetsUnder func(spec *v1alpha1.NodeRestrictionPolicySpec) []Target
	// CEL says that an API server can evaluate the rule for node agents as well: the Express of the rule's CEL is right for them.
	CEL bool
}

// Apply reports whether the rule is one for node agents.
func (a *Agents) Apply() bool { return len(a.Targets) > 0 || a.TargetsUnder != nil }

// ForKubelets reports whether the rule is one for kubelets. Otherwise its section is refused without spec.subjects.
func (rule *Rule) ForKubelets() bool { return len(rule.Targets) > 0 }

// TargetsUnder returns the writes that the rule evaluates under a spec that turns it on.
func (rule *Rule) TargetsUnder(spec *v1alpha1.NodeRestrictionPolicySpec) []Target {
	switch {
	case spec.Subjects == nil:
		return rule.Targets
	case rule.Agents.TargetsUnder == nil:
		return rule.Agents.Targets
	}
	return slices.Concat(rule.Agents.Targets, rule.Agents.TargetsUnder(spec))
}

// refusal returns an error if the section of the rule means nothing in such a policy.
func (rule *Rule) refusal(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) *field.Error {
	for name := range strings.SplitSeq(strings.TrimPrefix(rule.Doc.Spec, "spec."), ".") {
		at = at.Child(name)
	}
	switch {
	case spec.Subjects == nil && !rule.ForKubelets():
		return field.Forbidden(at, "must not be set without subjects: it is for node agents only")
	case spec.Subjects == nil || rule.Agents.Apply():
		return nil
	case rule.Agents.Why != "":
		return field.Forbidden(at, "must not be set beside subjects: "+rule.Agents.Why)
	}
	return field.Forbidden(at, "must not be set beside subjects: it is for kubelets only")
}
