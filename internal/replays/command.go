// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/input"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy/pattern"
)

// Output formats beside those that all commands have.
const (
	formatCSV   = "csv"
	formatSARIF = "sarif"
	formatHTML  = "html"
)

const (
	defaultSkew  = 10 * time.Second
	maxSkew      = time.Minute
	defaultLimit = 1000
	maxLimit     = 100_000
	// maxObjects bounds a file of --objects, in bytes, after it is decompressed.
	maxObjects = 1 << 30
)

type options struct {
	policies, auditLogs, objects []string
	format                       auditlog.Format
	nodes, by                    []string
	since, until                 string
	skew                         time.Duration
	failedOpen, attempts         bool
	list, unknown, acceptUnknown bool
	complete                     bool
	progress                     bool
	limit                        int
	output                       *command.Output
	replay                       replay.Options
}

// Command returns the command replay.
func Command() *cobra.Command {
	o := &options{format: auditlog.Auto}
	cmd := &cobra.Command{
		Use:   "replay --policy FILE... --audit-log FILE...",
		Short: "Say what policies would have denied, by an API server's audit log",
		Long: `Evaluate the writes of kubelets in the audit log of an API server, as the webhook would have done, and
say which of them the policies would have denied. No cluster is needed.

An audit log does not have everything that the webhook sees. A verdict is either that of the webhook, or
unknown, with the reason and the remedy. docs/replay.md has the audit policy with which a log says most.
Each write counts as a denial if it violates a policy, whatever the policy's validationActions are.

The logs of all API servers belong together, also rotated and compressed ones, and in the format of a
cloud provider (--format). Their order does not matter. A pattern in quotes stands for all files that it
matches. --objects adds what stood before the log began.

Exit code: 0 nothing would be denied, and nothing is unknown; 1 something would be denied; 2 something is
unknown (0 with --accept-unknown), usage, or no write of a kubelet was found.`,
		Example: `  kubectl nrp replay --policy strict.yaml --audit-log 'audit-*.log.gz'
  kubectl get nodes,pods -A -o json > objects.json
  kubectl nrp replay --policy strict.yaml --audit-log audit.log --objects objects.json --unknown
  kubectl nrp replay --policy strict.yaml --audit-log audit.log --by node,rule -o csv > denials.csv
  kubectl nrp replay --policy strict.yaml --audit-log audit.log --failed-open --since 2h`,
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
	flags.StringArrayVar(&o.policies, "policy", nil, "`file` or directory with NodeRestrictionPolicies; may be repeated")
	flags.StringArrayVar(&o.auditLogs, "audit-log", nil,
		"`file` with the audit log of an API server, a pattern in quotes, or - for\nstandard input; may be repeated")
	flags.Var(&o.format, "format", auditlog.FormatUsage)
	command.Complete(cmd, "format", auditlog.Formats())
	flags.StringArrayVar(&o.objects, "objects", nil,
		"`file` with Nodes and pods as kubectl get -o json prints them; may be\nrepeated")
	flags.StringSliceVar(&o.nodes, "node", nil, "only writes with the credentials of these `nodes`, which may have an *")
	flags.StringVar(&o.since, "since", "", "only writes from this `time` on: an age such as 36h or 7d, or\n2026-11-24T08:00:00Z; the log before is still read")
	flags.StringVar(&o.until, "until", "", "only writes before this `time`, in the same forms")
	flags.StringSliceVar(&o.by, "by", nil, "count denied writes by these `dimensions`: "+strings.Join(dimensionNames(), ", "))
	command.Complete(cmd, "by", dimensionNames())
	flags.BoolVar(&o.list, "list", false, "list the denied writes")
	flags.BoolVar(&o.unknown, "unknown", false, "list the writes that are unknown")
	flags.IntVar(&o.limit, "limit", defaultLimit, "list up to this `number` of writes")
	flags.BoolVar(&o.acceptUnknown, "accept-unknown", false, "exit with 0 if something is unknown and nothing would be denied")
	flags.BoolVar(&o.failedOpen, "failed-open", false,
		"only writes that were not evaluated when they were sent, because no\nreplica of the webhook answered")
	flags.BoolVar(&o.attempts, "attempts", false, "also writes that others refused, such as the NodeRestriction plugin")
	flags.BoolVar(&o.complete, "complete", false,
		"the log has every write of Nodes and pods, at whichever level: do not\nconclude it from the objects in it")
	flags.DurationVar(&o.skew, "clock-skew", defaultSkew,
		"`time` by which the clocks of API servers may differ; a second is enough\nfor the log of a single one")
	flags.BoolVar(&o.progress, "progress", false, "print progress on standard error even if it is no terminal")
	o.output = command.AddOutput(cmd, formatCSV, command.FormatJUnit, formatSARIF, formatHTML)
}

// check checks the flags.
func (o *options) check(now time.Time) error {
	switch {
	case len(o.policies) == 0:
		return command.Usagef("--policy: name a file with policies")
	case len(o.auditLogs) == 0:
		return command.Usagef("--audit-log: name the audit log of an API server")
	case o.skew < time.Second || o.skew > maxSkew:
		return command.Usagef("--clock-skew: must be %s to %s", time.Second, maxSkew)
	case o.limit < 1 || o.limit > maxLimit:
		return command.Usagef("--limit: must be 1 to %d", maxLimit)
	case o.output.String() == formatCSV && o.list && len(o.by) > 0:
		return command.Usagef("--list and --by: with -o csv, ask for one of them")
	}
	for _, name := range o.by {
		if !slices.Contains(dimensionNames(), name) {
			return command.Usagef("--by: no dimension is named %s%s", text.Quote(name), text.DidYouMean(name, dimensionNames()))
		}
	}
	o.replay = replay.Options{Skew: o.skew, FailedOpen: o.failedOpen, Attempts: o.attempts, Complete: o.complete}
	for _, bound := range []struct {
		flag, value string
		into        *time.Time
	}{{"--since", o.since, &o.replay.Since}, {"--until", o.until, &o.replay.Until}} {
		if bound.value == "" {
			continue
		}
		at, err := command.ParseTime(bound.value, now)
		if err != nil {
			return command.Usagef("%s: %w", bound.flag, err)
		}
		*bound.into = at
	}
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
	loaded, err := cli.LoadPolicies(in, o.policies)
	if err != nil {
		return err
	}
	t := newTallies(o)
	for _, p := range loaded {
		o.replay.Policies = append(o.replay.Policies, p.Object)
		t.policies = append(t.policies, p.Object.Name)
	}
	r, err := replay.New(&o.replay, t.add)
	if err != nil {
		return err
	}
	for _, name := range o.objects {
		if err := addObjects(in, name, r); err != nil {
			return err
		}
	}
	inputs, err := o.inputs(in)
	if err != nil {
		return err
	}
	log := auditlog.NewLog(o.format)
	log.KeepCut = true
	shown := newProgress(cmd.ErrOrStderr(), o.progress)
	log.Want = func(e *auditlog.Event) bool {
		shown.show(log)
		return replay.Wants(e)
	}
	err = log.ReadMerged(inputs, r.Add)
	if err == nil {
		err = r.Finish()
	}
	shown.end()
	if err != nil {
		return err
	}
	report := t.report(r, log, len(inputs))
	out := bufio.NewWriter(cmd.OutOrStdout())
	if err := errors.Join(report.Write(out, o.output), out.Flush()); err != nil {
		return err
	}
	return report.Err()
}

// addObjects reads a file of --objects.
func addObjects(in *command.Inputs, name string, r *replay.Replay) error {
	f, err := in.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	decoded, err := input.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", command.Title(name), err)
	}
	data, err := io.ReadAll(io.LimitReader(decoded, maxObjects+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", command.Title(name), err)
	case len(data) > maxObjects:
		return fmt.Errorf("%s: is longer than %d MiB", command.Title(name), maxObjects>>20)
	}
	if err := r.AddObjects(data); err != nil {
		return fmt.Errorf("%s: %w", command.Title(name), err)
	}
	return nil
}

// inputs returns the files of --audit-log. A name that is a pattern stands for all files that it matches.
func (o *options) inputs(in *command.Inputs) ([]auditlog.Input, error) {
	var names []string
	for _, name := range o.auditLogs {
		matches := []string{name}
		if name != command.StandardInput && strings.ContainsAny(name, "*?[") {
			var err error
			if matches, err = filepath.Glob(name); err != nil {
				return nil, command.Usagef("--audit-log: %s is no pattern of file names", text.Quote(name))
			}
			if len(matches) == 0 {
				return nil, fmt.Errorf("%s: no file matches", text.Printable(name))
			}
		}
		for _, match := range matches {
			if !slices.Contains(names, match) {
				names = append(names, match)
			}
		}
	}
	if len(names) > 1 && slices.Contains(names, command.StandardInput) {
		return nil, command.Usagef("--audit-log: standard input (-) must be the only input")
	}
	inputs := make([]auditlog.Input, len(names))
	for i, name := range names {
		inputs[i] = auditlog.Input{Name: command.Title(name), Open: func() (io.ReadCloser, error) { return in.Open(name) }}
	}
	return inputs, nil
}
