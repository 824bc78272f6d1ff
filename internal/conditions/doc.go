// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conditions composes the match conditions of the webhooks, and the floor under registration, from what the chart renders and
// from the policies in force. Package follow writes them.
package conditions
