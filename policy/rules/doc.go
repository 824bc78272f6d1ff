// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rules implements the restrictions of policies, one file for each rule, and what the rules share. [All] lists them for the engine,
// package policy, which does not import this package.
//
// A rule is a function that returns a [policy.Rule] with its documentation. Its fixtures are in testdata/<id>/{allow,deny}.
//
// Rules evaluate the change, not the state: a field of the stored object stays allowed until the kubelet changes it. A rule asks for the
// change of a part by [object.Part.Change], and for its state by Old or New.
package rules
