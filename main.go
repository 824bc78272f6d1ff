// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command node-restriction-plus restricts what kubelets may write to the Kubernetes API, and records every denial.
//
// The command serve is the admission webhook, and probe verifies that the API server calls it. The command-line tool is
// cmd/kubectl-nrp.
package main

import (
	"os"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/probe"
	"noderestriction.plus/internal/serve"
)

func main() {
	os.Exit(command.Run(command.Server(serve.Command(), probe.Command(), command.Version(nil))))
}
