// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package decisionlog reads from the audit log of an API server what policies decided about writes: the webhook, whose records are a log of
// their own, and ValidatingAdmissionPolicies, which have no other record.
package decisionlog
