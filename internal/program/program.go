// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package program has the names of the two programs and their version, for all that names them.
package program

import "runtime/debug"

// Name is the name of the webhook's program, and the beginning of the names that it gives to what it writes to a cluster.
const Name = "node-restriction-plus"

// Plugin is the name of the command-line tool. kubectl runs it for "kubectl nrp".
const Plugin = "kubectl-nrp"

// Version returns the version of the running program, such as v0.1.0, as go build found it in version control, or "devel" if there
// is none.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
