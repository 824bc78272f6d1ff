// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy evaluates writes by kubelets and node agents. It is pure: it does no I/O, reads no clock and logs nothing.
//
// A [Compiler] compiles a NodeRestrictionPolicy into a [Policy] by a list of rules, such as that of package rules. [NewSet] combines
// policies into a [Set], and [Set.Evaluate] evaluates one write, a [Request]. The result is a [Decision] with every violation of every
// policy.
//
// # Rules
//
// A [Rule] is a value with its documentation. Its Compile reads the rule's section of the spec and returns a [Check], a function from a
// request to violations, or nil if the section is omitted. A check asks the request for the parts of the object that it needs, such as
// r.Node().Labels(), and looks up other objects by methods such as [Request.LookUpPod]. This package knows no rule: lookups, notes and
// warnings of a rule are in its fields.
package policy
