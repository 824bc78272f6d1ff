// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli has the commands that try and explain policies without a cluster: review, check, test, explain, rules and version.
package cli
