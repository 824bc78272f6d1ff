// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Command renders the page about a command and its subcommands under docs/cli. The command must be under its root.
func Command(cmd *cobra.Command) string {
	var b strings.Builder
	b.WriteString("<!-- Generated from the command by make generate. -->\n")
	writeCommand(&b, cmd, "\n#")
	if cmd.Root().Annotations[cobra.CommandDisplayNameAnnotation] != "" { // a plugin of kubectl
		b.WriteString("\n[Get `" + cmd.Root().CommandPath() + "`](../../get-kubectl-nrp.md)\n")
	}
	return b.String()
}

// writeCommand writes about a command and its subcommands below a heading of a level.
func writeCommand(b *strings.Builder, cmd *cobra.Command, heading string) {
	fmt.Fprintf(b, "%s %s\n\n%s.\n\n```\n%s\n```\n", heading, cmd.CommandPath(), cmd.Short, cmd.UseLine())
	if cmd.Long != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", cmd.Long)
	}
	if cmd.Example != "" {
		example := strings.ReplaceAll("\n"+cmd.Example, "\n  ", "\n") // without its indentation
		fmt.Fprintf(b, "%s# Examples\n\n```sh%s\n```\n", heading, example)
	}
	var rows strings.Builder
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			rows.WriteString(flagRow(f))
		}
	})
	if rows.Len() > 0 {
		b.WriteString(heading + "# Flags\n\n| flag | default | meaning |\n|---|---|---|\n" + rows.String())
	}
	for _, child := range cmd.Commands() {
		writeCommand(b, child, heading+"#")
	}
}

func flagRow(f *pflag.Flag) string {
	kind, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if kind != "" {
		name += " " + kind
	}
	return fmt.Sprintf("| %s | %s | %s |\n", codeCell(name), codeCell(strings.Trim(f.DefValue, "[]")), cell(usage))
}

func codeCell(s string) string {
	if s == "" {
		return ""
	}
	return "`" + cell(s) + "`"
}

func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "|", `\|`), "\n", " ") }
