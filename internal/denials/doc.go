// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package denials has the command denials, which reads a log of records: it shows and counts them, proves that none is missing,
// and makes a page of them.
package denials
