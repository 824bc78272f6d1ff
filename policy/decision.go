// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "noderestriction.plus/api/v1alpha1"

// Outcome is the effect of a decision on a write: that of the strongest action of the policies that it violates.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allowed" // without a violation, and so without a record
	Audited Outcome = "audited" // allowed, and recorded
	Warned  Outcome = "warned"  // allowed with a warning, and recorded
	Denied  Outcome = "denied"  // and recorded
)

// Decision is the result of evaluating one write: every violation of every policy, sorted by policy, then by the order of the rules,
// then by field.
type Decision struct {
	Subject    Subject
	NodeName   string
	Violations []PolicyViolation
	// Evaluators are the policies that evaluated the write by all their rules for it: those that restrict the client, except those
	// with a violation of rule Unverified because of the write or the time.
	Evaluators []*Policy
	// Err is why the objects could not be decoded, for logs; nil if they could, or if the request was Undecodable.
	Err  error
	note string // follows the violations in a message
}

// PolicyViolation is a violation together with the policy and the rule that it breaks.
type PolicyViolation struct {
	Policy     string // name of the NodeRestrictionPolicy
	Generation int64  // its metadata.generation
	Rule       RuleID
	Violation
	// Action is the strongest of the policy's validationActions: Deny before Warn before Audit.
	Action v1alpha1.ValidationAction
	// Audited says that the policy's validationActions include Audit, possibly with a stronger Action.
	Audited bool
}

// Denied reports whether the write must be denied.
func (d Decision) Denied() bool { return d.has(v1alpha1.Deny) }

// Action returns the strongest action of all violations, and an empty string if there are no violations.
func (d Decision) Action() v1alpha1.ValidationAction {
	for _, a := range []v1alpha1.ValidationAction{v1alpha1.Deny, v1alpha1.Warn, v1alpha1.Audit} {
		if d.has(a) {
			return a
		}
	}
	return ""
}

// Outcome returns the effect of the decision on the write.
func (d Decision) Outcome() Outcome {
	switch d.Action() {
	case v1alpha1.Deny:
		return Denied
	case v1alpha1.Warn:
		return Warned
	case v1alpha1.Audit:
		return Audited
	}
	return Allowed
}

func (d Decision) has(a v1alpha1.ValidationAction) bool {
	for i := range d.Violations {
		if d.Violations[i].Action == a {
			return true
		}
	}
	return false
}

// Message returns why the write is denied, in one sentence of at most 1 KiB. It is empty if the write is not denied.
func (d Decision) Message() string {
	return d.message("violates", func(v PolicyViolation) bool { return v.Action == v1alpha1.Deny })
}

// Warning returns the warning for the client, of at most 1 KiB. It is empty if the write violates no policy that only warns.
func (d Decision) Warning() string {
	return d.message("would violate", func(v PolicyViolation) bool { return v.Action == v1alpha1.Warn })
}

// AuditMessage returns the text of the audit annotation, of at most 1 KiB. It is empty if the write violates no policy that audits.
func (d Decision) AuditMessage() string {
	return d.message("would violate", func(v PolicyViolation) bool { return v.Audited })
}
