// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package expression builds the text of CEL expressions that an API server evaluates in place of the rules. It does not evaluate them.
//
// Each expression is total: where a field may be missing, it has a default. An error in an expression is a denial that says nothing, and
// a registering kubelet stops at it. The size of every list and map is compared with a bound before an expression iterates over it.
package expression
