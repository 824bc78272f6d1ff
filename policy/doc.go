// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy evaluates what kubelets write. It is pure: no I/O, no clock, no logging, no client.
//
// A [Compiler] is handed a list of rules, such as that of package rules, and turns a NodeRestrictionPolicy into a [Policy]. [NewSet]
// puts policies together, and [Set.Evaluate] evaluates one write, a [Request], and answers with a [Decision] that holds every
// violation of every policy.
//
// # Rules
//
// A [Rule] is a value with its documentation. Its Compile reads its section of the spec and returns a [Check], a function from a
// request to violations, or nil if the section is omitted. This package knows no rule, and what rules have to say about lookups,
// messages and warnings they say in their fields.
package policy
