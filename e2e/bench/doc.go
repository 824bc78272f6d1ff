// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures the cost of an evaluated write against the alternatives: no webhook, a ValidatingAdmissionPolicy,
// Gatekeeper, a webhook that does nothing, and a typed handler of controller-runtime. etcd, the API server and the kubelets'
// identities are real, and the product is a process of its own. Variants take turns within each round, so that other load on the
// machine affects all of them; figures are medians of ratios within a round.
//
// It runs in the directory e2e; make bench runs it.
package main
