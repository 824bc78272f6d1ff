// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"noderestriction.plus/internal/text"
)

// floorDifferences collects differences of one object of the floor.
func floorDifferences(kind, name string) *differences {
	return &differences{part: partFloor, subject: kind + " " + text.Quote(name), verb: "evaluate"}
}

// MissingFromFloor returns the difference of an object of the floor that does not exist.
func MissingFromFloor(kind, name string) Difference {
	d := floorDifferences(kind, name)
	d.add(true, "does not exist")
	return d.list[0]
}

// ComparePolicy compares a ValidatingAdmissionPolicy with the spec that was installed, whose expressions are digests.
func ComparePolicy(name string, want, have *admissionregistrationv1.ValidatingAdmissionPolicySpec) []Difference {
	d := floorDifferences("ValidatingAdmissionPolicy", name)
	d.compareFailurePolicy(want.FailurePolicy, have.FailurePolicy)
	d.compareResources(want.MatchConstraints, have.MatchConstraints)
	d.compareConditions(want.MatchConditions, have.MatchConditions)
	d.compareVariables(want.Variables, have.Variables)
	d.compareValidations(want.Validations, have.Validations)
	if !equality.Semantic.DeepEqual(want.ParamKind, have.ParamKind) {
		d.add(true, "has another paramKind")
	}
	return d.list
}

func (d *differences) compareResources(want, have *admissionregistrationv1.MatchResources) {
	a, b := value(want, admissionregistrationv1.MatchResources{}), value(have, admissionregistrationv1.MatchResources{})
	wanted, found := operationsOf(a.ResourceRules), operationsOf(b.ResourceRules)
	d.compareRules(wanted, found)
	d.compareSelectors(a.NamespaceSelector, b.NamespaceSelector, a.ObjectSelector, b.ObjectSelector, namespaced(wanted))
	d.compareMatchPolicy(a.MatchPolicy, b.MatchPolicy)
	if !equality.Semantic.DeepEqual(a.ExcludeResourceRules, b.ExcludeResourceRules) {
		d.add(len(b.ExcludeResourceRules) > 0, "has other excludeResourceRules")
	}
	if namesOf(a.ResourceRules) != namesOf(b.ResourceRules) {
		d.add(true, "has other resourceNames")
	}
}

func operationsOf(rules []admissionregistrationv1.NamedRuleWithOperations) []admissionregistrationv1.RuleWithOperations {
	var all []admissionregistrationv1.RuleWithOperations
	for i := range rules {
		all = append(all, rules[i].RuleWithOperations)
	}
	return all
}

// namesOf counts the names of objects to which rules are limited.
func namesOf(rules []admissionregistrationv1.NamedRuleWithOperations) int {
	names := 0
	for i := range rules {
		names += len(rules[i].ResourceNames)
	}
	return names
}

// compareValidations compares validations in their order, without their messages.
func (d *differences) compareValidations(want, have []admissionregistrationv1.Validation) {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h admissionregistrationv1.Validation) bool { return Digest(h.Expression) == w.Expression }) {
			d.add(true, "lacks the validation with the message %s, or its expression was changed", text.Quote(w.Message))
		}
	}
	for _, h := range have {
		if !slices.ContainsFunc(want, func(w admissionregistrationv1.Validation) bool { return Digest(h.Expression) == w.Expression }) {
			d.add(false, "has another validation, with the message %s", text.Quote(h.Message))
		}
	}
}

// compareVariables compares the variables that validations read. An additional one is read by nobody.
func (d *differences) compareVariables(want, have []admissionregistrationv1.Variable) {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h admissionregistrationv1.Variable) bool {
			return h.Name == w.Name && Digest(h.Expression) == w.Expression
		}) {
			d.add(true, "lacks the variable %s, or its expression was changed", text.Quote(w.Name))
		}
	}
}

// CompareBinding compares a ValidatingAdmissionPolicyBinding with the spec that was installed.
func CompareBinding(name string, want, have *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) []Difference {
	d := floorDifferences("ValidatingAdmissionPolicyBinding", name)
	if want.PolicyName != have.PolicyName {
		d.add(true, "binds %s, not %s", text.Quote(have.PolicyName), text.Quote(want.PolicyName))
	}
	if missing, added := difference(want.ValidationActions, have.ValidationActions),
		difference(have.ValidationActions, want.ValidationActions); len(missing)+len(added) > 0 {
		d.add(slices.Contains(missing, string(admissionregistrationv1.Deny)), "has other validationActions: without %s, with %s",
			quoted(missing), quoted(added))
	}
	if !equality.Semantic.DeepEqual(want.ParamRef, have.ParamRef) {
		d.add(true, "has another paramRef")
	}
	if limited(have.MatchResources) && !equality.Semantic.DeepEqual(want.MatchResources, have.MatchResources) {
		d.add(true, "applies only to what its matchResources select")
	}
	return d.list
}

// difference returns the actions of a list that are not in another.
func difference(list, other []admissionregistrationv1.ValidationAction) []string {
	var only []string
	for _, action := range list {
		if !slices.Contains(other, action) {
			only = append(only, string(action))
		}
	}
	return only
}

func quoted(words []string) string {
	if len(words) == 0 {
		return "(none)"
	}
	return text.QuoteAll(words)
}

// limited reports whether the resources of a binding are fewer than those of its policy.
func limited(m *admissionregistrationv1.MatchResources) bool {
	return m != nil && (!empty(m.NamespaceSelector) || !empty(m.ObjectSelector) ||
		len(m.ResourceRules)+len(m.ExcludeResourceRules) > 0)
}
