// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/equality"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/replaylog"
	"noderestriction.plus/internal/stockwrites"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// maxReason is the maximum length of the reason of --force, in characters.
const maxReason = 256

// Command returns the command promote.
func Command() *cobra.Command { return newCommand(time.Now) }

// options are what the flags say.
type options struct {
	window   string
	records  []string
	actions  []string
	accepted []string
	audit    replaylog.Source
	source   string
	force    string
	output   *command.Output
}

// newCommand returns the command with a clock.
func newCommand(now func() time.Time) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "promote --records FILE... [--audit-log FILE]... FILE",
		Short: "Print a policy that denies, if the evidence shows that it would have denied nothing",
		Long: `Read a policy that only records or warns, as it is in the cluster with its status, and the records of the
webhook, and print the policy with validationActions: [Deny], if all gates pass:

  in-force          the policy is enforced as written, by all replicas, since before the window began
  fresh             replicas have reported in its status within the last 30 minutes
  no-would-denials  neither its status nor the records have a violation in the window; dry runs do not count
  exercised         it has evaluated every kind of write that stock kubelets make and that its rules are about
  complete          no record of the window is missing, as far as the records themselves show

With --audit-log, the writes in the audit logs of all API servers are evaluated again, as kubectl nrp replay
does: no-would-denials also means that no write in the window violates the policy, also of those that passed
while no replica answered; exercised counts what was evaluated; and complete means that the log covers the
window, that everything that passed while no replica answered can be evaluated, and that writes of the newest
kubelets are among those that were.

If a gate refuses, the reasons go to standard error, and nothing is printed. A rule whose writes nobody made has
proved nothing: each reason says how to make one. --accept-unexercised accepts a kind of write without one,
and --force REASON accepts everything.

What is printed has the annotation noderestriction.plus/promoted with the window, what was counted, what was
accepted and the SHA-256 of everything that was read. It has no status, and nothing else that the API server
sets. With --source, it is the file in your repository with its comments, whose spec must be that of the
policy in the cluster.

The command needs no cluster, so it also works in a pipeline that only commits what is printed.

Exit code: 0 printed, 1 a gate refuses, 2 usage, a policy that denies already, or a file that cannot be read.`,
		Example: `  kubectl get nrp strict -o yaml | kubectl nrp promote --window 7d --records denials.log - > strict.yaml
  kubectl nrp promote --records denials.log --audit-log audit-1.log.gz --audit-log audit.log strict-with-status.yaml
  kubectl nrp promote --records denials.log --source clusters/prod/strict.yaml strict-with-status.yaml
  kubectl nrp promote --records denials.log --accept-unexercised 'CREATE pods' strict-with-status.yaml`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return command.Usagef("name one file with a policy and its status, or - for standard input")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.window, "window", "7d", "`time` up to now that the evidence is about, such as 36h or 7d")
	flags.StringArrayVar(&o.records, "records", nil,
		"`file` with the webhook's records, of all replicas, or - for standard\ninput; may be repeated, also with copies")
	o.audit.AddFlags(cmd)
	flags.StringSliceVar(&o.actions, "actions", []string{string(v1alpha1.Deny)},
		"validationActions of the printed policy: `Deny` or Deny,Audit")
	flags.StringSliceVar(&o.accepted, "accept-unexercised", nil,
		"kind of `write` that need not have been evaluated, such as 'CREATE pods';\nmay be repeated")
	command.Complete(cmd, "accept-unexercised", writeNames())
	flags.StringVar(&o.source, "source", "", "`file` with the same policy, such as in a repository, to be printed instead")
	flags.StringVar(&o.force, "force", "", "promote although gates refuse, for this `reason`, which the annotation has")
	o.output = command.AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := o.audit.Given(cmd); err != nil {
			return err
		}
		return o.run(args[0], now(), cmd.Flags().Changed("force"), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

func writeNames() []string {
	var all []string
	for _, w := range stockwrites.All() {
		all = append(all, w.String())
	}
	return all
}

// check checks the flags, and returns the window.
func (o *options) check(forced bool) (time.Duration, error) {
	window, err := command.ParseAge(o.window)
	if err != nil || window <= 0 {
		return 0, command.Usagef("--window: must be a time such as 36h or 7d, not %s", text.Quote(o.window))
	}
	if len(o.records) == 0 {
		return 0, command.Usagef("--records: name the files with the webhook's records; an empty log proves nothing either")
	}
	allowed := [][]string{{"Deny"}, {"Deny", "Audit"}, {"Audit", "Deny"}}
	if !slices.ContainsFunc(allowed, func(actions []string) bool { return slices.Equal(actions, o.actions) }) {
		return 0, command.Usagef("--actions: must be Deny or Deny,Audit")
	}
	if forced && (strings.TrimSpace(o.force) == "" || utf8.RuneCountInString(o.force) > maxReason) {
		return 0, command.Usagef("--force: needs a reason of at most %d characters", maxReason)
	}
	return window, nil
}

// checkAccepted checks --accept-unexercised, given the policy.
func (o *options) checkAccepted(p *policy.Policy) error {
	names := writeNames()
	if p.ForAgents() {
		names = nil
		for _, w := range stockwrites.Of(p) {
			names = append(names, w.String())
		}
	}
	for _, name := range o.accepted {
		if !slices.Contains(names, name) {
			return command.Usagef("--accept-unexercised: no kind of write is named %s%s", text.Quote(name), text.DidYouMean(name, names))
		}
	}
	return nil
}

// run promotes the policy of a file.
func (o *options) run(name string, now time.Time, forced bool, stdin io.Reader, stdout, stderr io.Writer) error {
	window, err := o.check(forced)
	if err != nil {
		return err
	}
	d := &digests{inputs: &command.Inputs{Stdin: stdin}}
	f, err := readFile(d.Open, name)
	if err != nil {
		return err
	}
	if err := o.checkAccepted(f.policy.Compiled); err != nil {
		return err
	}
	if slices.Contains(f.policy.Object.Spec.ValidationActions, v1alpha1.Deny) {
		return fmt.Errorf("%s: %s denies already", command.Title(name), f.title())
	}
	q := &question{policy: f.policy.Compiled, generation: f.policy.Object.Generation, now: now, window: window, accepted: o.accepted}
	if q.status, err = f.status(); err != nil {
		return err
	}
	records, err := d.readRecords(o.records, q.policy, q.begin())
	if err != nil {
		return err
	}
	q.evidence = append(q.evidence, records)
	if len(o.audit.AuditLogs) > 0 {
		audit, err := d.readAudit(&o.audit, f.policy.Object, q.policy, q.begin(), now, stderr)
		if err != nil {
			return err
		}
		q.evidence = append(q.evidence, audit)
	}
	printed := f
	if o.source != "" {
		if printed, err = o.readSource(d, f); err != nil {
			return err
		}
	}
	return o.answer(printed, q, d.all, stdout, stderr)
}

// readSource reads the file that is printed instead. It must have the same policy.
func (o *options) readSource(d *digests, f *file) (*file, error) {
	source, err := readFile(d.inputs.Open, o.source)
	if err != nil {
		return nil, fmt.Errorf("--source: %w", err)
	}
	if source.policy.Object.Name != f.policy.Object.Name {
		return nil, fmt.Errorf("--source: %s: has %s, not %s", command.Title(o.source), source.title(), f.title())
	}
	if !equality.Semantic.DeepEqual(source.policy.Object.Spec, f.policy.Object.Spec) {
		return nil, fmt.Errorf("--source: %s: its spec is not that of the policy with the status: apply it first, and wait for the window",
			command.Title(o.source))
	}
	return source, nil
}

// answer prints the policy, or why it is not promoted.
func (o *options) answer(f *file, q *question, read []digest, stdout, stderr io.Writer) error {
	r := newReport(f.policy.Object.Name, q, o)
	if r.Promoted {
		policy, err := f.promoted(o.actions, r.proof(q, o, read))
		if err != nil {
			return fmt.Errorf("%s: %w", command.Title(f.name), err)
		}
		r.policy = policy
		if !r.passed() {
			command.PrintError(stderr, program.Plugin, "promoted by --force, although:\n"+r.refusal())
		}
		if managedByHelm(f) {
			command.PrintError(stderr, program.Plugin, "Helm manages "+f.title()+": set its action in the values of the chart instead")
		}
	}
	if err := r.write(stdout, o.output); err != nil {
		return err
	}
	if !r.Promoted {
		return command.No("%w", errors.New("not promoted: "+f.title()+"\n"+r.refusal()))
	}
	return nil
}

// managedByHelm reports whether Helm would set the actions again.
func managedByHelm(f *file) bool {
	return f.policy.Object.Labels["app.kubernetes.io/managed-by"] == "Helm"
}
