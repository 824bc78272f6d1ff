// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

// TooDear reports whether the rule's expression costs too much, so that the webhook itself must find the violation.
func (v *Violation) TooDear() bool { return v.Gap == tooDear }

// Touched says that a write changes what the rule evaluates: it is true whenever the write violates the rule, and costs little.
func (v *Violation) Touched() string { return v.touched }
