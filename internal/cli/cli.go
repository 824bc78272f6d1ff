package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// program is the name under which the program speaks of itself.
const program = "node-restriction-plus"

// Exit codes beside 0.
const (
	codeNo       = 1 // the answer is no
	codeNoAnswer = 2 // usage, or something could not be read or written
)

// ExitError is an error that ends the program with a code of its own. Every other error ends it with 2.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ExitError) Unwrap() error { return e.Err }

// no is the error of a command that has found the answer to be no.
func no(format string, args ...any) error {
	return &ExitError{Code: codeNo, Err: fmt.Errorf(format, args...)}
}

// usageError is an error in how a command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Commands returns the commands that need no cluster.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		reviewCommand(), checkCommand(), testCommand(), explainCommand(), rulesCommand(), denialsCommand(), versionCommand(),
	}
}

// Root returns the root command with the given commands. It is to be run with [Run].
func Root(commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   program,
		Short: "Restrict what kubelets may write, and prove what was denied",
		Long: "node-restriction-plus restricts what the credential of a kubelet may write to the Kubernetes API, by\n" +
			"NodeRestrictionPolicies, and records every denial.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			return usagef("unknown command %q%s", args[0], didYouMean(args[0], names))
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			if err := cmd.Help(); err != nil {
				return err
			}
			return usagef("no command given")
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(commands...)
	return root
}

// Run runs the root command with the arguments of the process, prints its error and returns the exit code.
func Run(root *cobra.Command) int {
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	printError(root.ErrOrStderr(), err.Error())
	if usage := (usageError{}); errors.As(err, &usage) {
		printError(root.ErrOrStderr(), fmt.Sprintf("run %q for the usage", cmd.CommandPath()+" --help"))
	}
	return ExitCode(err)
}

// ExitCode is the exit code for an error that a command returned: 0 for nil, the code of an [ExitError], otherwise 2.
func ExitCode(err error) int {
	if exit := (*ExitError)(nil); errors.As(err, &exit) {
		return exit.Code
	}
	if err != nil {
		return codeNoAnswer
	}
	return 0
}

// printError prints a message with the name of the program before each line. A message may quote a file that an
// attacker wrote, so control characters are left out.
func printError(w io.Writer, message string) {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, message)
	for line := range strings.Lines(clean) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			fmt.Fprintf(w, "%s: %s\n", program, line)
		}
	}
}

// atLeastOne requires arguments and says what they are.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("name %s", what)
		}
		return nil
	}
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q", args[0])
	}
	return nil
}
