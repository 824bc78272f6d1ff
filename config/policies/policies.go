// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policies holds the policy recommended.
package policies

import _ "embed"

//go:embed recommended.yaml
var recommended string

// Recommended returns the policy recommended as it is published.
func Recommended() string { return recommended }
