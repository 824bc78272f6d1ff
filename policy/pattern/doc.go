// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pattern compiles the text in policies: patterns, CIDRs and quantities. It checks the bounds that the schema also checks.
package pattern
