// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"noderestriction.plus/config/policies"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/input"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/replaylog"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy/rules"
)

// commandOptions are the flags of the command.
type commandOptions struct {
	Options

	source     replaylog.Source
	replay     replay.Options
	base, name string
}

const (
	// maxBase is the size of the largest base, in bytes.
	maxBase = 1 << 20
	// recommended is the name of the base without --base.
	recommended = "recommended"
)

// Command returns the command learn.
func Command() *cobra.Command {
	o := commandOptions{}
	cmd := &cobra.Command{
		Use:   "learn --audit-log FILE...",
		Short: "Make the narrowest policy that allows what kubelets write in an audit log",
		Long: `Make the narrowest policy under which the writes of kubelets in an API server's audit log pass, and print it.
It begins with a policy, recommended or --base, which is only widened, by what it would deny. Each added
line has its evidence as a comment.

An element that fewer than --min-nodes nodes need is left out, as a comment marked REVIEW; so is one that
is needed only by programs that --agents does not name, since an attacker may be in the log. --all takes
them in. What no agent should need, such as a finalizer, is never learned; the comment at the head lists
it. That comment also says how many writes could not be evaluated, which teach nothing, and whether the
log was long enough: what its first part teaches is tried on the rest of it (--holdout).

Audit logs are read as by kubectl nrp replay, which then tries the policy on another log.

Exit code: 0 the policy denies no write in the log that could be evaluated, 1 it denies some, 2 usage, a
file that cannot be read, or no writes of kubelets.`,
		Example: `  kubectl nrp learn --audit-log 'audit-*.log.gz' > learned.yaml
  kubectl nrp learn --audit-log audit.log --base profiles/k3s.yaml --agents kubelet,k3s
  kubectl nrp learn --audit-log audit.log --objects objects.json --min-nodes 1 --since 7d`,
		Args:                  command.NoArguments,
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	o.source.AddFlags(cmd)
	o.source.AddTimeFlags(cmd)
	flags.StringVar(&o.base, "base", "", "`file` with the policy to begin with, or - for standard input; by default recommended")
	flags.StringVar(&o.name, "name", "learned", "`name` of the policy")
	flags.BoolVar(&o.All, "all", false, "also take in what would be left out for review")
	flags.IntVar(&o.MinNodes, "min-nodes", 2, "how many nodes must need an element")
	flags.StringSliceVar(&o.Agents, "agents", []string{"kubelet"}, "`programs` whose writes count, as their user agents begin")
	flags.Float64Var(&o.Holdout, "holdout", 0.3, "`share` of the time, from the end, on which the rest is tried; 0 for none")
	output := command.NewOutput(command.FormatYAML, command.FormatJSON)
	output.AddTo(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(time.Now()); err != nil {
			return err
		}
		return o.run(&command.Inputs{Stdin: cmd.InOrStdin()}, cmd.OutOrStdout(), cmd.ErrOrStderr(), output)
	}
	return cmd
}

func (o *commandOptions) check(now time.Time) (err error) {
	if o.replay, err = o.source.Options(now); err != nil {
		return err
	}
	switch {
	case o.MinNodes < 1:
		return command.Usagef("--min-nodes: must be at least 1")
	case !(o.Holdout >= 0 && o.Holdout < 1): // also without a number
		return command.Usagef("--holdout: must be at least 0 and less than 1")
	case len(o.Agents) == 0 || slices.Contains(o.Agents, ""):
		return command.Usagef("--agents: must name programs, such as kubelet")
	}
	if problems := validation.IsDNS1123Subdomain(o.name); len(problems) > 0 {
		return command.Usagef("--name: %s: %s", text.Quote(o.name), problems[0])
	}
	return nil
}

// run learns, and prints the policy.
func (o *commandOptions) run(inputs *command.Inputs, out, notes io.Writer, output *command.Output) error {
	base, err := o.readBase(inputs)
	if err != nil {
		return fmt.Errorf("--base: %w", err)
	}
	result, err := o.learn(inputs, base.object.Object, notes)
	if err != nil {
		return err
	}
	printed, err := result.Print(base.text, base.name, o.name, o.Options)
	if err != nil {
		return err
	}
	text := func(w io.Writer) error {
		_, err := w.Write(printed)
		return err
	}
	if output.String() == command.FormatJSON {
		err = output.Write(out, result, text)
	} else {
		err = text(out)
	}
	if err == nil && result.Denied > 0 {
		err = command.No("the policy would deny %s in the log: see its comments", count(result.Denied, "write"))
	}
	return err
}

// base is the policy to begin with.
type base struct {
	name   string
	text   []byte
	object *manifest.Policy
}

func (o *commandOptions) readBase(inputs *command.Inputs) (*base, error) {
	b := &base{name: recommended, text: []byte(policies.Recommended())}
	if o.base != "" {
		b.name = command.Title(o.base)
		f, err := inputs.Open(o.base)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if b.text, err = input.ReadAll(f, maxBase); err != nil {
			return nil, fmt.Errorf("%s: %w", b.name, err)
		}
	}
	file := manifest.Read(bytes.NewReader(b.text), rules.NewCompiler())
	if err := file.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", b.name, err)
	}
	if len(file.Policies) > 1 || file.Others > 0 {
		return nil, fmt.Errorf("%s: %w", b.name, errNotOne)
	}
	if _, err := newDocument(b.text); err != nil {
		return nil, fmt.Errorf("%s: %w", b.name, err)
	}
	if b.object = file.Policies[0]; b.object.Object.Spec.Subjects != nil {
		return nil, fmt.Errorf("%s: %w", b.name, errForAgents)
	}
	return b, nil
}
