// Command node-restriction-plus restricts what kubelets may write to the Kubernetes API, and records every denial.
//
// The command serve is the admission webhook, and probe verifies that the API server asks it; all others work without a
// cluster.
package main

import (
	"os"

	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/probe"
	"noderestriction.plus/internal/serve"
)

func main() {
	os.Exit(command.Run(command.Root(append(cli.Commands(), serve.Command(), probe.Command())...)))
}
