// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-nrp checks and tries NodeRestrictionPolicies, and reads the records of denials. Of its commands only
// attack, doctor and rights need a cluster. It works as kubectl nrp, a plugin of kubectl, and by itself.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/attack"
	"noderestriction.plus/internal/authorizer"
	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/denials"
	"noderestriction.plus/internal/diff"
	"noderestriction.plus/internal/doctor"
	"noderestriction.plus/internal/learn"
	"noderestriction.plus/internal/promote"
	"noderestriction.plus/internal/replays"
	"noderestriction.plus/internal/rights"
)

func main() {
	os.Exit(command.Run(root(command.PluginCall(os.Args[0]))))
}

// root returns the root command. Its texts say how the program is called.
func root(call string) *cobra.Command {
	return command.Plugin(call, append(cli.Commands(),
		diff.Command(), denials.Command(), replays.Command(), learn.Command(), promote.Command(), attack.Command(), doctor.Command(),
		rights.Command(),
		authorizer.Command())...)
}
