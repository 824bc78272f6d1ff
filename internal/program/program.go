// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package program has what several packages must agree on: the names of the two programs, their version, and the values of the
// metric label policy.
package program

import "runtime/debug"

// Name is the name of the webhook's program, and the prefix of the names of the objects and field managers that it uses.
const Name = "node-restriction-plus"

// Plugin is the name of the command-line tool. kubectl runs it for "kubectl nrp".
const Plugin = "kubectl-nrp"

// The values of the metric label policy: the names of up to 100 policies, and one value for all others.
const (
	MaxPolicyLabels = 100
	OtherLabel      = "other"
)

// Version returns the version of the running program, such as v0.1.0, as go build found it in version control, or "devel" without
// one.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
