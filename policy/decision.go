// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "noderestriction.plus/api/v1alpha1"

// Outcome is what happened to a write: the word for the strongest action of the policies that it violates.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allowed" // it violates nothing; there is no record
	Audited Outcome = "audited" // let through, only recorded
	Warned  Outcome = "warned"  // let through, with a warning
	Denied  Outcome = "denied"  // refused
)

// Decision is the outcome of judging one write: every violation of every policy, sorted by policy, then by the order of the
// rules, then by field.
type Decision struct {
	NodeName   string
	Violations []PolicyViolation
	// Err says why the objects could not be decoded, for a log; nil if they could, or if the request was Undecodable.
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
	// Audited says that the policy's validationActions have Audit, alone or beside the stronger Action.
	Audited bool
}

// Denied reports whether the write must be denied.
func (d Decision) Denied() bool { return d.has(v1alpha1.Deny) }

// Action is the strongest action of all violations, or empty if there are none.
func (d Decision) Action() v1alpha1.ValidationAction {
	for _, a := range []v1alpha1.ValidationAction{v1alpha1.Deny, v1alpha1.Warn, v1alpha1.Audit} {
		if d.has(a) {
			return a
		}
	}
	return ""
}

// Outcome is what the decision does to the write.
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

// Message says why the write is denied, in one sentence of at most 1 KiB; empty if it is not.
func (d Decision) Message() string {
	return d.message("violates", func(v PolicyViolation) bool { return v.Action == v1alpha1.Deny })
}

// Warning is the text for the client of a write that violates a policy which only warns; empty if there is none.
func (d Decision) Warning() string {
	return d.message("would violate", func(v PolicyViolation) bool { return v.Action == v1alpha1.Warn })
}

// AuditMessage is the text for the audit annotation of a write that violates a policy which audits; empty if there is none.
func (d Decision) AuditMessage() string {
	return d.message("would violate", func(v PolicyViolation) bool { return v.Audited })
}
