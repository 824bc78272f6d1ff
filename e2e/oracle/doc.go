// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oracle only has tests. They run the NodeRestriction admission plugin of Kubernetes and the rules baseline-* on the same
// requests, which must have the same verdicts. It is a module of its own because the plugin is in the module k8s.io/kubernetes, on
// which no other part of this project may depend.
package oracle
