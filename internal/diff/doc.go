// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package diff has the command diff, which says of each changed field of a policy whether it now allows less, more, or both.
//
// A field is compared by what it allows, not by its text: patterns, ranges of addresses, numbers and sets can contain one another. Where
// that cannot be decided, such as for what a Node says of itself, a change counts as both.
package diff
