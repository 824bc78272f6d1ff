// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/program"
)

// ByKubectl is how users call the command-line tool as a plugin of kubectl. The texts of its commands say it.
const ByKubectl = "kubectl nrp"

// PluginCall returns how the user called the command-line tool, given its argument 0: [ByKubectl], or its own name. kubectl
// executes a plugin by the path at which it found it, a shell by the name that was typed.
func PluginCall(argument string) string {
	if found, err := exec.LookPath(program.Plugin); err == nil && found == argument {
		return ByKubectl
	}
	return program.Plugin
}

// Plugin returns the root command of the command-line tool with the given commands. Their texts have call instead of
// [ByKubectl]. Run it with [Run].
func Plugin(call string, commands ...*cobra.Command) *cobra.Command {
	root := newRoot(&cobra.Command{
		Use:         program.Plugin,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: call},
		Short:       "Check policies, try writes and read denials of NodeRestriction-plus",
		Long: "kubectl nrp checks NodeRestrictionPolicies, says what they would deny, and reads the records of what was denied.\n" +
			"Only attack, doctor and rights need a cluster.",
	}, commands)
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.AddCommand(pluginCompletion())
			refuseUnknownShells(cmd)
		}
	}
	say(root, call)
	return root
}

// refuseUnknownShells makes the completion of a shell that is not supported an error.
func refuseUnknownShells(completion *cobra.Command) {
	completion.Args = cobra.ArbitraryArgs
	completion.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var shells []string
		for _, shell := range cmd.Commands() {
			shells = append(shells, shell.Name())
		}
		return Usagef("no completion for %q, only for %s", args[0], strings.Join(shells, ", "))
	}
}

// say replaces how the program is called in the texts of a command and its subcommands.
func say(cmd *cobra.Command, call string) {
	cmd.Long = strings.ReplaceAll(cmd.Long, ByKubectl, call)
	cmd.Example = strings.ReplaceAll(cmd.Example, ByKubectl, call)
	for _, child := range cmd.Commands() {
		say(child, call)
	}
}

// completionScript completes the words after kubectl nrp. kubectl runs an executable of this name with them.
const completionScript = `#!/bin/sh
exec ` + program.Plugin + ` ` + cobra.ShellCompRequestCmd + ` "$@"
`

func pluginCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl-plugin",
		Short: "Generate the executable by which kubectl completes this plugin",
		Long: `Generate the executable by which kubectl completes the words after "kubectl nrp". It must be in your
PATH as kubectl_complete-nrp, and the completion of kubectl itself must be loaded.`,
		Example: `  kubectl-nrp completion kubectl-plugin > ~/bin/kubectl_complete-nrp && chmod +x ~/bin/kubectl_complete-nrp`,
		Args:    NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write([]byte(completionScript))
			return err
		},
	}
}
