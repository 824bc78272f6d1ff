// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/text"
)

// Output formats beside those that all commands have.
const (
	formatSARIF = "sarif"
	formatHTML  = "html"
)

// modelNode is the node of --offline without --as-node.
const modelNode = "worker-1"

// Command returns the command attack.
func Command() *cobra.Command {
	o := options{}
	cmd := &cobra.Command{
		Use:   "attack {--as-node NODE [--as-agent ACCOUNT] | --kubeconfig KUBELET.CONF | --offline --policy FILE...}",
		Short: "Try attacks with the identity of a kubelet or a node agent, as dry runs, and say who stops each",
		Long: `Try a catalogue of attacks with the identity of a kubelet, and say who stops each of them: the
authorizer, the NodeRestriction plugin, a NodeRestrictionPolicy, another policy or webhook, or nobody.

Nothing is written: every request is a dry run, and others cannot leave the program. Attacks that
need a pod use one on the node, if there is one. Requests for tokens are never sent, because the API
server issues the token in a dry run, too.

With --as-node it impersonates the kubelet; --rbac prints the permissions that this needs. Without,
the kubeconfig must be a kubelet's own. The policies that say what must be stopped are read from the
cluster, or from --policy. With --offline the policies are evaluated without a cluster, for a model of
a node.

With --as-agent it impersonates a service account with a token that is bound to the node, such as that of
a DaemonSet, and tries what such a token may write of its own node and of others. Without --as-node, the
kubeconfig may also be that of the agent itself.

The webhook records each denial of the run with dryRun true. The requests have the user agent
kubectl-nrp-attack; --announce prints the time window, for those who watch the records.

Exit code: 0 everything that a policy forbids was stopped, 1 something was not, 2 usage, or an attack
could not be tried because of an error.`,
		Example: `  kubectl nrp attack --as-node worker-1
  kubectl nrp attack --as-node worker-1 -o html > attacks.html
  kubectl nrp attack --offline --policy config/policies/strict.yaml
  kubectl nrp attack --as-node worker-1 --as-agent kube-system/aws-node
  kubectl nrp attack --as-node worker-1 --rbac | kubectl apply -f -`,
		Args:                  command.NoArguments,
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; if empty, as kubectl finds it")
	flags.StringVar(&o.context, "context", "", "`name` of the context in the kubeconfig")
	flags.StringVar(&o.run.AsNode, "as-node", "", "impersonate the kubelet of this `node`")
	flags.StringVar(&o.run.AsAgent, "as-agent", "",
		"impersonate this service account, as `namespace/name`, with a token of\nthe node of --as-node")
	flags.StringVar(&o.run.OtherNode, "other-node", "", "another `node` to attack; by default one is looked up")
	flags.StringVar(&o.run.OtherPod, "other-pod", "", "a pod of another node, as `namespace/name`; by default one is looked up")
	flags.StringArrayVar(&o.policies, "policy", nil,
		"`file` or directory with NodeRestrictionPolicies that say what must be\nstopped, or - for standard input; may be repeated")
	flags.BoolVar(&o.offline, "offline", false, "evaluate the policies of --policy without a cluster")
	flags.BoolVar(&o.announce, "announce", false, "print who attacks, where, and from when to when, to standard error")
	flags.StringVar(&o.rbac, "rbac", "",
		"print the roles with the permissions for --as-node, in this `way`:\n"+
			"constrained, from Kubernetes 1.36 on, or impersonate; for --as-agent\n"+
			"only the latter can be")
	flags.Lookup("rbac").NoOptDefVal = Constrained
	command.Complete(cmd, "rbac", []string{Constrained, Impersonate})
	output := command.AddOutput(cmd, command.FormatJUnit, formatSARIF, formatHTML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		if o.rbac != "" {
			if o.run.AsAgent != "" {
				return writeAgentRBAC(cmd.OutOrStdout(), o.run.AsNode, o.run.AsAgent)
			}
			return writeRBAC(cmd.OutOrStdout(), o.run.AsNode, o.rbac)
		}
		report, err := o.report(cmd)
		if err != nil {
			return err
		}
		if err := report.Write(cmd.OutOrStdout(), output); err != nil {
			return err
		}
		return report.Err()
	}
	return cmd
}

type options struct {
	kubeconfig, context string
	policies            []string
	offline, announce   bool
	rbac                string
	run                 Options
}

func (o *options) check() error {
	for flag, name := range map[string]string{"--as-node": o.run.AsNode, "--other-node": o.run.OtherNode} {
		if name == "" {
			continue
		}
		if err := checkNode(name); err != nil {
			return command.Usagef("%s: %w", flag, err)
		}
	}
	for flag, object := range map[string]string{"--other-pod": o.run.OtherPod, "--as-agent": o.run.AsAgent} {
		namespace, name, _ := strings.Cut(object, "/")
		if object != "" && (checkNode(namespace) != nil || checkNode(name) != nil) {
			return command.Usagef("%s: %s is not namespace/name", flag, text.Quote(object))
		}
	}
	switch {
	case o.run.AsAgent != "" && o.run.AsNode == "" && !o.offline:
		return command.Usagef("--as-agent: name the node of its token with --as-node")
	case o.rbac != "" && o.rbac != Constrained && o.rbac != Impersonate:
		return command.Usagef("--rbac: must be %s or %s", Constrained, Impersonate)
	case o.rbac != "" && o.run.AsNode == "":
		return command.Usagef("--rbac: name the node with --as-node")
	case o.offline && len(o.policies) == 0:
		return command.Usagef("--offline: name the policies with --policy")
	case o.offline && (o.kubeconfig != "" || o.context != "" || o.run.OtherNode != "" || o.run.OtherPod != "" || o.announce):
		return command.Usagef("--offline: there is no cluster; leave --kubeconfig, --context, --other-node, --other-pod and --announce out")
	}
	return nil
}

func (o *options) report(cmd *cobra.Command) (*Report, error) {
	var err error
	if len(o.policies) > 0 {
		if o.run.Policies, err = cli.LoadPolicies(&command.Inputs{Stdin: cmd.InOrStdin()}, o.policies); err != nil {
			return nil, err
		}
	}
	var report *Report
	if o.offline {
		node := o.run.AsNode
		if node == "" {
			node = modelNode
		}
		report, err = Offline(node, o.run.AsAgent, o.run.Policies)
	} else {
		var config *rest.Config
		if config, err = o.config(); err != nil {
			return nil, err
		}
		if o.announce {
			o.run.Announce = func(r *Report) { announce(cmd.ErrOrStderr(), r, "begins at", r.Started) }
		}
		report, err = Run(cmd.Context(), config, o.run)
		if err == nil && o.announce {
			announce(cmd.ErrOrStderr(), report, "ended at", report.Ended)
		}
	}
	if err != nil {
		return nil, err
	}
	report.files = o.policies
	return report, nil
}

func announce(w io.Writer, r *Report, what string, at *time.Time) {
	fmt.Fprintf(w, "attacks as %s on %s with user agent %s %s %s\n",
		r.attacker(), text.Printable(r.Server), r.UserAgent, what, at.Format(time.RFC3339))
}

func (o *options) config() (*rest.Config, error) {
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	loading.ExplicitPath = o.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		loading, &clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
}
