// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import "noderestriction.plus/policy"

// TooDear reports whether the rule's expression costs too much, so that the webhook itself must find the violation.
func (v *Violation) TooDear() bool { return v.Gap == tooDear }

// Touches says that a write changes what a rule evaluates: it is true whenever the write violates the rule, and costs little.
func Touches(rule *policy.Rule, w Write) string { return touches(rule, w) }
