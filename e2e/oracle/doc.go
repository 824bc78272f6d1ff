// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oracle has no code but tests: they run the admission plugin NodeRestriction of Kubernetes itself beside the rules
// baseline-*, on the same requests, and demand the same verdicts. It is a module of its own because the plugin is part of the
// module k8s.io/kubernetes, of which no other part of this project may depend.
package oracle
