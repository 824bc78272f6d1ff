// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package compile makes ValidatingAdmissionPolicies of NodeRestrictionPolicies, by what the rules say about themselves in CEL. An API
// server enforces them without the webhook.
package compile
