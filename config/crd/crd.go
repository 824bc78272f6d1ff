// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd holds the generated CustomResourceDefinition of NodeRestrictionPolicy, for programs that validate policies without an
// API server.
package crd

import _ "embed" // for the variable

// YAML is the CustomResourceDefinition as it is applied to a cluster.
//
//go:embed noderestriction.plus_noderestrictionpolicies.yaml
var YAML string
