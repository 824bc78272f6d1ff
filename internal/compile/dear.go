// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

// TooDear reports whether the rule's expression costs too much, so that the webhook itself must find the violation.
func (v *Violation) TooDear() bool { return v.Gap == tooDear }
