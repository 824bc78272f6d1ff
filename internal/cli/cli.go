package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
)

// Commands returns the commands that need no cluster.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		reviewCommand(), checkCommand(), testCommand(), explainCommand(), rulesCommand(), denialsCommand(), versionCommand(),
	}
}

// no is the error of a command that has found the answer to be no.
func no(format string, args ...any) error {
	return &command.ExitError{Code: command.CodeNo, Err: fmt.Errorf(format, args...)}
}
