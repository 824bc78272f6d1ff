// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rules has the restrictions that this program knows, one file a rule, and what they share. [All] lists them; the engine,
// package policy, is handed the list and knows none of them.
//
// A rule is a function that returns a [policy.Rule] with its documentation. Its fixtures are in testdata/<id>/{allow,deny}.
//
// Rules evaluate the change, not the state: what is on the stored object stays allowed as long as the kubelet does not change it.
package rules
