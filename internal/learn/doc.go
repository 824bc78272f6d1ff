// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package learn has the command learn: from the audit log of an API server it makes the narrowest policy that allows what the kubelets in
// the log have written, beginning with a policy that it only widens.
//
// A [Learner] takes the writes that violate the base policy. A widener for each rule names the parts of a write that the rule may be about,
// as [Element]s of the policy; the rule itself then says which of them the write needs. A write with a violation that no element allows
// teaches nothing. At the end elements become lines with their evidence: those that few nodes need are left out for review, and some are
// generalized.
package learn
