// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

// MaxWarnings is the largest number of warnings for a policy.
const MaxWarnings = 16

// Warnings returns sentences without a period about settings of a policy that are valid, but probably a mistake: those of its rules, and
// one for a policy that restricts nothing. There are at most [MaxWarnings].
func (c *Compiler) Warnings(p *v1alpha1.NodeRestrictionPolicy) []string {
	warnings := warnOfMatch(p.Spec.Match, field.NewPath("spec", "match"))
	for i := range c.rules {
		if warn := c.rules[i].Warn; warn != nil && len(warnings) < MaxWarnings {
			warnings = append(warnings, warn(&p.Spec, field.NewPath("spec"))...)
		}
	}
	if len(warnings) < MaxWarnings {
		warnings = append(warnings, warnOfSelf(&p.Spec)...)
	}
	rules := p.Spec
	rules.ValidationActions, rules.Subjects, rules.Match = nil, nil, nil
	if equality.Semantic.DeepEqual(rules, v1alpha1.NodeRestrictionPolicySpec{}) && len(warnings) < MaxWarnings {
		warnings = append(warnings, "spec: no rule has a section, so this policy restricts nothing")
	}
	return warnings[:min(len(warnings), MaxWarnings)]
}

// warnOfSelf warns of a policy for node agents that does not hold them to their node: what its sections allow, they allow on all nodes.
func warnOfSelf(spec *v1alpha1.NodeRestrictionPolicySpec) []string {
	if spec.Subjects == nil || spec.Lockdown != nil {
		return nil
	}
	var warnings []string
	if spec.Nodes.Self == nil && !equality.Semantic.DeepEqual(spec.Nodes, v1alpha1.NodeRules{}) {
		warnings = append(warnings, "spec.nodes: without self, agents may write what the other sections allow to every Node")
	}
	if spec.Pods.Self == nil && !equality.Semantic.DeepEqual(spec.Pods, v1alpha1.PodRules{}) {
		warnings = append(warnings, "spec.pods: without self, agents may write what the other sections allow to the pods of every node")
	}
	return warnings
}
