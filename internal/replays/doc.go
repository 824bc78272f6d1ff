// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package replays has the command replay, which says what policies would have denied, by an API server's audit log.
package replays
