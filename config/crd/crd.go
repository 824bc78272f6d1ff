// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd holds the CustomResourceDefinition of NodeRestrictionPolicy.
package crd

import _ "embed"

//go:embed noderestriction.plus_noderestrictionpolicies.yaml
var definition string

// YAML returns the CustomResourceDefinition as it is installed.
func YAML() string { return definition }
