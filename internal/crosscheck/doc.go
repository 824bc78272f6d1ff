// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crosscheck compares records with the audit logs of API servers. Each answer of the webhook that was read has a record, and
// annotations in the audit log that name it, so that each of the two proves that the other is complete.
//
// A [Check] is given all records first, and then the events. Something is missing only where both logs should have it; what it cannot
// know, because one of them begins later or does not have such writes, it reports apart.
package crosscheck
