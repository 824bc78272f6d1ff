// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"errors"

	"github.com/spf13/cobra"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replaylog"
)

// Command returns the command diff.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Compare policies: which fields allow less, and which more",
		Long: `Compare policies by what they allow. For each changed field, the effect is

  narrower   writes may violate the policy that did not
  wider      writes may no longer violate the policy
  both       each of them, or it cannot be decided
  same       no write is affected, such as by a pattern that another one contains

Patterns, ranges of addresses, numbers, sets and built-in defaults are compared by what they stand for. A
list shows only the elements that one of the policies has.

OLD and NEW are files or directories with NodeRestrictionPolicies, as check reads them; - is standard input.
Policies are paired by name. If both have a single policy, these are compared whatever their names.

--audit-log evaluates the writes of kubelets in the audit logs of all API servers by the policies that
deny, before and after, and lists those whose verdict changes. What cannot be known from the log is
counted as unknown: kubectl nrp replay says why.

Exit code: 0 no write is newly denied, also if nothing changed; 1 some may be, because a policy with the
action Deny is narrower or new, or with --audit-log some are; 2 usage, a file cannot be read or is not
valid, or with --audit-log the verdict on some writes is unknown and no write is newly denied.`,
		Example: `  kubectl nrp diff old.yaml new.yaml
  git show HEAD:policies/strict.yaml | kubectl nrp diff - policies/strict.yaml
  kubectl get nrp -o yaml | kubectl nrp diff - policies/
  kubectl nrp diff old.yaml new.yaml --audit-log 'audit-*.log.gz'
  kubectl nrp diff config/policies/recommended.yaml config/policies/strict.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return command.Usagef("name two files or directories with policies: the old and the new one")
			}
			return nil
		},
	}
	var source replaylog.Source
	source.AddFlags(cmd)
	source.AddTimeFlags(cmd)
	output := command.AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		logged, err := source.Given(cmd)
		if err != nil {
			return err
		}
		in := &command.Inputs{Stdin: cmd.InOrStdin()}
		old, err := load(in, args[0])
		updated, bad := load(in, args[1])
		if err := errors.Join(err, bad); err != nil {
			return err
		}
		r := NewReport(old, updated)
		if logged {
			if r.Writes, err = replayPairs(cmd, in, &source, pairsOf(old, updated)); err != nil {
				return err
			}
		}
		if err := output.Write(cmd.OutOrStdout(), r, r.writeText); err != nil {
			return err
		}
		return r.err()
	}
	return cmd
}

// load reads the policies of an argument, which are valid unless there is an error.
func load(in *command.Inputs, arg string) ([]*v1alpha1.NodeRestrictionPolicy, error) {
	read, err := cli.LoadPolicies(in, []string{arg})
	var policies []*v1alpha1.NodeRestrictionPolicy
	for _, p := range read {
		policies = append(policies, p.Object)
	}
	return policies, err
}
