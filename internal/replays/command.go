// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	"bufio"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/replaylog"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/pattern"
)

// Output formats beside those that all commands have.
const (
	formatCSV   = "csv"
	formatSARIF = "sarif"
	formatHTML  = "html"
)

const (
	defaultLimit = 1000
	maxLimit     = 100_000
	flagWidth    = 56
)

type options struct {
	source                       replaylog.Source
	policies, nodes, by          []string
	failedOpen, attempts         bool
	list, unknown, acceptUnknown bool
	subjects                     bool
	limit                        int
	output                       *command.Output
	replay                       replay.Options
}

// Command returns the command replay.
func Command() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "replay {--policy FILE... | --subjects} --audit-log FILE...",
		Short: "Say what policies would have denied, by an API server's audit log",
		Long: `Evaluate the writes of kubelets in the audit log of an API server, as the webhook would have done, and
say which of them the policies would have denied. No cluster is needed.

An audit log does not have everything that the webhook sees. A verdict is either that of the webhook, or
unknown, with the reason and the remedy. docs/replay.md has the audit policy with which a log says most.
Each write counts as a denial if it violates a policy, whatever the policy's validationActions are.

A policy with subjects is for the node agents that it names. Their tokens name their node, which the audit
log has at each level, except for that of GKE. --subjects lists every client that is no kubelet and writes what the
policies cover: how many of its writes name a node, and how many are about another one. So it shows what a
policy would break that names the client. Without --policy it is about Nodes, pods and ResourceSlices.

The logs of all API servers belong together, also rotated and compressed ones, and in the format of a
cloud provider (--format). Their order does not matter. A pattern in quotes stands for all files that it
matches. --objects adds what stood before the log began.

Exit code: 0 nothing would be denied, and nothing is unknown; 1 something would be denied; 2 something is
unknown (0 with --accept-unknown), usage, or no write of a kubelet was found.`,
		Example: `  kubectl nrp replay --policy strict.yaml --audit-log 'audit-*.log.gz'
  kubectl get nodes,pods -A -o json > objects.json
  kubectl nrp replay --policy strict.yaml --audit-log audit.log --objects objects.json --unknown
  kubectl nrp replay --policy strict.yaml --audit-log audit.log --by node,rule -o csv > denials.csv
  kubectl nrp replay --policy strict.yaml --audit-log audit.log --failed-open --since 2h
  kubectl nrp replay --audit-log audit.log --subjects`,
		Args:                  command.NoArguments,
		DisableFlagsInUseLine: true,
	}
	o.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(time.Now()); err != nil {
			return err
		}
		return o.run(cmd)
	}
	return cmd
}

func (o *options) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&o.policies, "policy", nil, "`file` or directory with NodeRestrictionPolicies;\nmay be repeated")
	o.source.AddFlags(cmd)
	o.source.AddTimeFlags(cmd)
	flags.StringSliceVar(&o.nodes, "node", nil, "only writes with the credentials of these `nodes`, which\nmay have an *")
	names := command.Wrap(strings.Join(dimensionNames(), ", "), "", flagWidth)
	flags.StringSliceVar(&o.by, "by", nil, "count denied writes by these `dimensions`:\n"+strings.TrimSuffix(names, "\n"))
	command.Complete(cmd, "by", dimensionNames())
	flags.BoolVar(&o.subjects, "subjects", false, "list the clients that are no kubelets, and what a policy\nwould break that names them")
	flags.BoolVar(&o.list, "list", false, "list the denied writes")
	flags.BoolVar(&o.unknown, "unknown", false, "list the writes that are unknown")
	flags.IntVar(&o.limit, "limit", defaultLimit, "list up to this `number` of writes")
	flags.BoolVar(&o.acceptUnknown, "accept-unknown", false, "exit with 0 if something is unknown and nothing would be\ndenied")
	flags.BoolVar(&o.failedOpen, "failed-open", false,
		"only writes that were not evaluated when they were sent,\nbecause no replica of the webhook answered")
	flags.BoolVar(&o.attempts, "attempts", false, "also writes that others refused, such as the NodeRestriction\nplugin")
	o.output = command.AddOutput(cmd, formatCSV, command.FormatJUnit, formatSARIF, formatHTML)
}

// check checks the flags.
func (o *options) check(now time.Time) (err error) {
	if len(o.policies) == 0 && !o.subjects {
		return command.Usagef("--policy: name a file with policies")
	}
	if o.replay, err = o.source.Options(now); err != nil {
		return err
	}
	switch {
	case o.limit < 1 || o.limit > maxLimit:
		return command.Usagef("--limit: must be 1 to %d", maxLimit)
	case o.output.String() == formatCSV && (o.list && len(o.by) > 0 || o.subjects && (o.list || o.unknown || len(o.by) > 0)):
		return command.Usagef("--list, --by and --subjects: with -o csv, ask for one of them")
	}
	for _, name := range o.by {
		if !slices.Contains(dimensionNames(), name) {
			return command.Usagef("--by: no dimension is named %s%s", text.Quote(name), text.DidYouMean(name, dimensionNames()))
		}
	}
	o.replay.FailedOpen, o.replay.Attempts = o.failedOpen, o.attempts
	return o.checkNodes()
}

func (o *options) checkNodes() error {
	if len(o.nodes) == 0 {
		return nil
	}
	var patterns []v1alpha1.Pattern
	for _, n := range o.nodes {
		patterns = append(patterns, v1alpha1.Pattern(n))
	}
	compiled, errs := pattern.CompileAll(patterns, len(patterns), field.NewPath("--node"))
	if len(errs) > 0 {
		return command.Usagef("%w", errs.ToAggregate())
	}
	o.replay.Node = compiled.Match
	return nil
}

func (o *options) run(cmd *cobra.Command) error {
	in := &command.Inputs{Stdin: cmd.InOrStdin()}
	t := newTallies(o)
	var compiled []*policy.Policy
	if len(o.policies) > 0 {
		loaded, err := cli.LoadPolicies(in, o.policies)
		if err != nil {
			return err
		}
		for _, p := range loaded {
			o.replay.Policies, compiled = append(o.replay.Policies, p.Object), append(compiled, p.Compiled)
			t.policies = append(t.policies, p.Object.Name)
		}
	}
	if o.subjects {
		t.accounts = newAccounts()
		o.replay.Agents, o.replay.Covers, o.replay.NodePaths = t.accounts.add, covers(compiled), nodePaths()
	}
	r, err := replay.New(&o.replay, t.add)
	if err != nil {
		return err
	}
	log, inputs, err := o.source.Read(in, r, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	report := t.report(r, log, inputs)
	out := bufio.NewWriter(cmd.OutOrStdout())
	if err := errors.Join(report.Write(out, o.output), out.Flush()); err != nil {
		return err
	}
	return report.Err()
}
