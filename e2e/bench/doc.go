// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what a judged write costs, against the alternatives and in one run: no webhook, a
// ValidatingAdmissionPolicy, a webhook that does nothing, and one as controller-runtime's typed handler would be. Everything
// is real: etcd, an API server, kubelets' identities, the product as a process of its own. Variants take turns within each
// round, so that what else happens on the machine happens to all of them; figures are medians of ratios within a round.
//
// It runs in the folder e2e; make bench runs it.
package main
