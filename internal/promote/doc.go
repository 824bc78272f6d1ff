// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package promote has the command promote, which turns a policy that only records or warns into one that denies, if its status and the
// records show that it would have denied nothing. It reads files only.
package promote
