// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
)

// Commands returns the commands that try and explain policies, and version.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		reviewCommand(), checkCommand(), testCommand(), compileCommand(), explainCommand(), rulesCommand(), command.Version(reads()),
	}
}

// reads says which versions of policies and records this program reads.
func reads() *command.Reads {
	return &command.Reads{
		Policies: []string{v1alpha1.GroupVersion().String()},
		Skew: "Use it with webhooks of the same version and of earlier ones: it knows their policies, rules and records. " +
			"With a later webhook, a field of a policy that this version does not know is an error, a field of a record is " +
			"ignored, and a kind of record is a line that cannot be read.",
	}
}
