// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package command has what all commands of both programs share: root commands, running them, errors and their exit codes,
// input files and output formats.
//
// [Server] and [Plugin] put commands under the root command of a program, and [Run] runs it: errors go to standard error, each
// line after the name of the program. The exit code is 0 on success, 1 if the answer is no, and 2 if there is no answer, because
// of the usage or of something that could not be read.
package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
)

// Exit codes other than 0.
const (
	CodeNo       = 1 // the answer is no
	CodeNoAnswer = 2 // usage, or something could not be read or written
)

// ExitError is an error that ends the program with a code of its own. Every other error ends it with [CodeNoAnswer].
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ExitError) Unwrap() error { return e.Err }

// UsageError is an error in how a command was called. [Run] adds how to get help.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e UsageError) Unwrap() error { return e.Err }

// Usagef returns a [UsageError]. The arguments are those of [fmt.Errorf].
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// No returns the error of a command whose answer is no. The arguments are those of [fmt.Errorf].
func No(format string, args ...any) error {
	return &ExitError{Code: CodeNo, Err: fmt.Errorf(format, args...)}
}

// Server returns the root command of the webhook's program with the given commands. It is to be run with [Run].
func Server(commands ...*cobra.Command) *cobra.Command {
	return newRoot(&cobra.Command{
		Use:   program.Name,
		Short: "Restrict what kubelets may write, and prove what was denied",
		Long: "node-restriction-plus restricts what the credential of a kubelet may write to the Kubernetes API, by\n" +
			"NodeRestrictionPolicies, and records every denial. To try policies and to read records, use kubectl nrp.",
	}, commands)
}

// newRoot completes a root command, which has its name and texts.
func newRoot(root *cobra.Command, commands []*cobra.Command) *cobra.Command {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return Usagef("unknown command %q%s", args[0], text.DidYouMean(args[0], names))
	}
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		cmd.SetOut(cmd.ErrOrStderr())
		if err := cmd.Help(); err != nil {
			return err
		}
		return Usagef("no command given")
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return UsageError{err} })
	root.AddCommand(commands...)
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" {
			refuseUnknownTopics(cmd)
		}
	}
	usage := root.UsageFunc()
	root.SetUsageFunc(func(cmd *cobra.Command) error { return writeUsage(cmd, usage) })
	return root
}

// refuseUnknownTopics makes help of a command that does not exist an error.
func refuseUnknownTopics(help *cobra.Command) {
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		topic, rest, err := cmd.Root().Find(args)
		if err != nil || len(rest) > 0 {
			return Usagef("unknown help topic %q", strings.Join(args, " "))
		}
		topic.InitDefaultHelpFlag()
		return topic.Help()
	}
}

// writeUsage writes the usage without the values of flags that are given without one.
func writeUsage(cmd *cobra.Command, usage func(*cobra.Command) error) error {
	const values = "[=true|false]"
	out := cmd.OutOrStderr()
	var b strings.Builder
	cmd.SetOut(&b)
	err := usage(cmd)
	cmd.SetOut(out)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, strings.ReplaceAll(b.String(), values, strings.Repeat(" ", len(values))))
	return err
}

// Run runs the root command with the arguments of the process, prints its error and returns the exit code.
func Run(root *cobra.Command) int {
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	PrintError(root.ErrOrStderr(), root.Name(), err.Error())
	if usage := (UsageError{}); errors.As(err, &usage) {
		PrintError(root.ErrOrStderr(), root.Name(), fmt.Sprintf("run %q for the usage", cmd.CommandPath()+" --help"))
	}
	return ExitCode(err)
}

// ExitCode returns the exit code for an error of a command: 0 for nil, the code of an [ExitError], otherwise 2.
func ExitCode(err error) int {
	if exit := (*ExitError)(nil); errors.As(err, &exit) {
		return exit.Code
	}
	if err != nil {
		return CodeNoAnswer
	}
	return 0
}

// PrintError prints a message with the name of the program before each line. A message may quote a file that an attacker wrote, so
// what does not print is escaped, except tabs.
func PrintError(w io.Writer, name, message string) {
	for line := range strings.Lines(message) {
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			continue
		}
		parts := strings.Split(line, "\t")
		for i := range parts {
			parts[i] = text.Printable(parts[i])
		}
		fmt.Fprintf(w, "%s: %s\n", name, strings.Join(parts, "\t"))
	}
}

// AtLeastOne requires arguments. Its error asks for what they are.
func AtLeastOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return Usagef("name %s", what)
		}
		return nil
	}
}

// NoArguments refuses arguments.
func NoArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usagef("unexpected argument %q", args[0])
	}
	return nil
}
