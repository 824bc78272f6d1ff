// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pattern has what policies say in text: patterns, CIDRs and quantities, with the bounds of the schema.
package pattern
