package policy

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
)

// Warnings are what is valid in a policy but probably not meant, each a sentence without a period: a nodeSelector on labels by
// which a kubelet can take itself out of the policy, and patterns that cannot have an effect.
func Warnings(p *v1alpha1.NodeRestrictionPolicy) []string {
	var warnings []string
	for _, key := range selfSetLabels(p.Spec.Match) {
		if len(warnings) == maxWarnings {
			return warnings
		}
		warnings = append(warnings, fmt.Sprintf(
			"spec.match.nodeSelector: a kubelet may set label %s itself and so choose whether this policy holds for it; "+
				"prefer a label under node-restriction.kubernetes.io/", text.Quote(key)))
	}
	if labels := p.Spec.Nodes.Labels; labels != nil && labels.Registration != nil {
		for i, denied := range labels.Registration.Denied {
			if isComputedLabel(string(denied)) && len(warnings) < maxWarnings {
				warnings = append(warnings, fmt.Sprintf(
					"spec.nodes.labels.registration.denied[%d]: %s has no effect, because every kubelet computes this label",
					i, text.Quote(string(denied))))
			}
		}
	}
	rules := p.Spec
	rules.ValidationActions, rules.Match = nil, nil
	if equality.Semantic.DeepEqual(rules, v1alpha1.NodeRestrictionPolicySpec{}) {
		warnings = append(warnings, "spec: no rule has a section, so this policy restricts nothing")
	}
	return warnings
}

// maxWarnings is how many warnings a policy gets.
const maxWarnings = 16

// selfSetLabels are the keys of a selector that the NodeRestriction plugin lets a kubelet set, sorted.
func selfSetLabels(m *v1alpha1.Match) []string {
	if m == nil || m.NodeSelector == nil {
		return nil
	}
	var keys []string
	for key := range m.NodeSelector.MatchLabels {
		keys = append(keys, key)
	}
	for _, e := range m.NodeSelector.MatchExpressions {
		keys = append(keys, e.Key)
	}
	slices.Sort(keys)
	return without(slices.Compact(keys), isReservedLabel)
}
