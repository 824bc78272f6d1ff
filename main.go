// Command node-restriction-plus restricts what kubelets may write to the Kubernetes API, and records every denial.
//
// The command serve is the admission webhook, and probe proves that it is asked; all others work without a cluster.
package main

import (
	"os"

	"noderestriction.plus/internal/cli"
)

func main() {
	os.Exit(cli.Run(cli.Root(append(cli.Commands(), serveCommand(), probeCommand())...)))
}
