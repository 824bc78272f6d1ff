// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/doctor/checks"
	"noderestriction.plus/internal/text"
)

// Output formats beside those that all commands have.
const (
	formatSARIF = "sarif"
	formatHTML  = "html"
)

const (
	defaultQPS     = 50
	maxQPS         = 1000
	defaultTimeout = 2 * time.Minute
	maxTimeout     = time.Hour
	maxKubelets    = 100
)

type options struct {
	kubeconfig, context string
	timeout             time.Duration
	rbac                bool
	read                Options
}

// Command returns the command doctor.
func Command() *cobra.Command {
	o := options{}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what weakens the isolation of kubelets in a cluster, with a fix for each",
		Long: `Find what weakens the isolation of kubelets in a cluster: authorizers, RBAC, certificates, bootstrap
tokens, agents on nodes, other webhooks, the configuration of kubelets, and anyone who can turn
NodeRestriction-plus off. Each finding has its evidence, what an attacker gains, and a fix.

Nothing is written. --probe adds one dry run, the creation of a Node as a kubelet that does not exist.
What the kubeconfig may not read is said, with the command that grants it; --rbac prints all
permissions. The names of roles and bindings do not count, only their rules.

Exit code: 0 nothing is bad, 1 something is, 2 usage, or no check can tell anything.`,
		Example: `  kubectl nrp doctor
  kubectl nrp doctor --node worker-1 --probe -o html > doctor.html
  kubectl nrp doctor --skip audit,distribution -o junit > doctor.xml
  kubectl nrp doctor --probe --rbac | kubectl apply -f -`,
		Args:                  command.NoArguments,
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; if empty, as kubectl finds it")
	flags.StringVar(&o.context, "context", "", "`name` of the context in the kubeconfig")
	flags.StringVar(&o.read.Node, "node", "", "`node` whose kubelet the API server is asked about; by default the\nfirst one")
	flags.BoolVar(&o.read.Probe, "probe", false, "find out by a dry run whether the NodeRestriction plugin is on")
	flags.IntVar(&o.read.Kubelets, "kubelets", 0, "`number` of kubelets whose configuration is read, through nodes/proxy")
	flags.BoolVar(&o.read.Secrets, "secrets", false, "read when bootstrap tokens expire, from their Secrets")
	flags.StringSliceVar(&o.read.Skip, "skip", nil, "`IDs` of checks not to run; may be repeated")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout, "`time` after which it gives up")
	flags.Float64Var(&o.read.QPS, "qps", defaultQPS, "`number` of requests a second at most")
	flags.BoolVar(&o.rbac, "rbac", false, "print the ClusterRole with the permissions that the other flags need")
	command.Complete(cmd, "skip", ids())
	output := command.AddOutput(cmd, command.FormatJUnit, formatSARIF, formatHTML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		if o.rbac {
			return writeRole(cmd.OutOrStdout(), &o.read)
		}
		config, err := o.config()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
		defer cancel()
		snapshot, err := Read(ctx, config, &o.read)
		if err != nil {
			return err
		}
		report := Diagnose(snapshot, config.Host, o.read.Skip)
		if err := report.Write(cmd.OutOrStdout(), output); err != nil {
			return err
		}
		return report.Err()
	}
	return cmd
}

func ids() []string {
	var all []string
	for _, c := range checks.All() {
		all = append(all, c.ID)
	}
	return all
}

func (o *options) check() error {
	for _, id := range o.read.Skip {
		if !slices.Contains(ids(), id) {
			return command.Usagef("--skip: there is no check %s%s", text.Quote(id), text.DidYouMean(id, ids()))
		}
	}
	switch {
	case o.read.Node != "" && !isName(o.read.Node):
		return command.Usagef("--node: %s is not the name of a Node", text.Quote(o.read.Node))
	case o.read.Kubelets < 0 || o.read.Kubelets > maxKubelets:
		return command.Usagef("--kubelets: must be 0 to %d", maxKubelets)
	case !(o.read.QPS > 0 && o.read.QPS <= maxQPS):
		return command.Usagef("--qps: must be more than 0, and at most %d", maxQPS)
	case o.timeout <= 0 || o.timeout > maxTimeout:
		return command.Usagef("--timeout: must be more than 0, and at most %s", maxTimeout)
	case len(o.read.Skip) >= len(ids()) && len(slices.Compact(slices.Sorted(slices.Values(o.read.Skip)))) == len(ids()):
		return command.Usagef("--skip: no check is left")
	}
	return nil
}

func (o *options) config() (*rest.Config, error) {
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	loading.ExplicitPath = o.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		loading, &clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
}

func writeRole(w io.Writer, o *Options) error {
	out, err := yaml.Marshal(Role(o))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s", out)
	return err
}

// isName reports whether a text can be the name of a Node.
func isName(s string) bool {
	return len(s) <= 253 && regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`).MatchString(s)
}
