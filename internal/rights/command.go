// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/access"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/input"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
)

const (
	// formatHTML is the output format beside those that all commands have.
	formatHTML = "html"
	// maxFile bounds a file of --from, in bytes, after it is decompressed.
	maxFile = 256 << 20
	// anyNode is the node about which permissions are computed if an audit log is about all nodes.
	anyNode = "any-node"

	defaultQPS     = 50
	maxQPS         = 1000
	maxRepeat      = 20
	defaultTimeout = 2 * time.Minute
)

// Command returns the command rights.
func Command() *cobra.Command {
	o := &options{format: auditlog.Auto}
	cmd := &cobra.Command{
		Use:   "rights {NODE [--agents] | --as-kubelet | NODE [--agents] --from FILE... | [NODE] --audit-log FILE...}",
		Short: "Say what a kubelet may really do, compared with what the Node authorizer intends",
		Long: `Say what the credential of a kubelet may really do: every right that any authorizer gives it beyond what
the Node authorizer of Kubernetes intends, by which binding, role and rule, and how dangerous that is.

It asks the API server, with access reviews, about several hundred requests and about whatever else
RBAC gives to the kubelet. With --full it also asks about every resource that the API server serves, which
finds what a webhook authorizer allows besides. With --repeat it asks each question several times, on
connections of their own, which finds API servers that authorize differently. Nothing is written. With
--as-kubelet the kubelet of the kubeconfig asks about itself, which every kubelet may. With --from it reads
files instead: what --dump writes, or RBAC as kubectl get writes it. With --audit-log it says which
permissions beyond the intent were used, by whom and when; with --from, too, which of them nobody used.
The audit log may also be as log services of cloud providers keep it (--format).

With --agents it says instead which service accounts have tokens on the node, in the pods there, and what
RBAC lets each of them do in the cluster. Anyone who controls the node has these tokens, too.

Each permission is in one class: intended; narrowed (intended, and only the NodeRestriction admission plugin
narrows it); known (Kubernetes or a distribution adds it); accepted (by the file of --accept); widened;
missing (intended, and refused).

Exit code: 0 nothing is widened, 1 something is (see --fail-on), 2 usage, or no answer. With --agents, 1 says that
an account has a critical or high permission.`,
		Example: `  kubectl nrp rights worker-1
  kubectl nrp rights --as-kubelet --kubeconfig /etc/kubernetes/kubelet.conf
  kubectl nrp rights worker-1 --full --repeat 5
  kubectl nrp rights worker-1 -o html > permissions.html
  kubectl nrp rights worker-1 --agents
  kubectl nrp rights worker-1 --dump > cluster.json && kubectl nrp rights worker-1 --from cluster.json
  kubectl nrp rights --audit-log audit.log --from cluster.json
  kubectl nrp rights --rbac | kubectl apply -f -`,
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; if empty, as kubectl finds it")
	flags.StringVar(&o.context, "context", "", "`name` of the context in the kubeconfig")
	flags.BoolVar(&o.asKubelet, "as-kubelet", false, "ask as the kubelet whose kubeconfig it is, about itself")
	flags.StringSliceVar(&o.groups, "groups", nil, "`groups` of the kubelet, if its user has others than a kubelet's certificate")
	flags.StringArrayVar(&o.from, "from", nil,
		"`file` with the RBAC of the cluster, or - for standard input; no cluster\nis asked; may be repeated")
	flags.StringArrayVar(&o.auditLog, "audit-log", nil,
		"audit log `file`, or - for standard input; no cluster is asked; may be\nrepeated")
	flags.Var(&o.format, "format", auditlog.FormatUsage)
	command.Complete(cmd, "format", auditlog.Formats())
	flags.BoolVar(&o.dump, "dump", false, "print what --from reads: RBAC, and with NODE the references of its pods")
	flags.StringVar(&o.accept, "accept", "", "`file` of accepted permissions, each with its reason")
	flags.StringVar(&o.kubernetes, "kubernetes", "", "`release` of the API server, such as 1.37; if empty, its own")
	flags.StringSliceVar(&o.gates, "feature-gates", nil, "`gates` that the API server does not have by default, as Name=true")
	flags.StringVar(&o.failOn, "fail-on", failWidened, "exit with 1 for `what`: widened, critical, missing or never")
	command.Complete(cmd, "fail-on", failures())
	flags.BoolVar(&o.agents, "agents", false, "say what the service accounts may do whose tokens lie on the node")
	flags.BoolVar(&o.full, "full", false, "also ask about every resource that the API server serves")
	flags.IntVar(&o.repeat, "repeat", 1, "`number` of times to ask each question, each on another connection")
	flags.BoolVar(&o.refused, "refused", false, "also report what is refused as intended, in JSON, YAML and HTML")
	flags.Float64Var(&o.qps, "qps", defaultQPS, "`number` of requests a second, at most")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout, "`time` for the whole run")
	flags.BoolVar(&o.rbac, "rbac", false, "print the ClusterRole with the permissions that NODE needs")
	output := command.AddOutput(cmd, formatHTML)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.check(args); err != nil {
			return err
		}
		if o.rbac {
			role, err := yaml.Marshal(Role())
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(role)
			return err
		}
		return o.run(cmd, output)
	}
	return cmd
}

type options struct {
	kubeconfig, context string
	node                string
	groups              []string
	from, auditLog      []string
	format              auditlog.Format
	asKubelet, dump     bool
	refused, rbac, full bool
	agents              bool
	repeat              int
	accept, failOn      string
	kubernetes          string
	gates               []string
	qps                 float64
	timeout             time.Duration

	asked Options
}

func failures() []string { return []string{failWidened, failCritical, failMissing, failNever} }

// check checks the flags, and reads those that say something about the cluster.
func (o *options) check(args []string) error {
	if len(args) > 1 {
		return command.Usagef("unexpected argument %q", args[1])
	}
	if len(args) == 1 {
		if err := checkNode(args[0]); err != nil {
			return command.Usagef("%w", err)
		}
		o.node = args[0]
	}
	offline := len(o.from) > 0 || len(o.auditLog) > 0
	switch {
	case offline && (o.kubeconfig != "" || o.context != "" || o.asKubelet || o.dump):
		return command.Usagef("--from and --audit-log ask no cluster; leave --kubeconfig, --context, --as-kubelet and --dump out")
	case o.asKubelet && o.node != "":
		return command.Usagef("--as-kubelet: the kubeconfig says which node it is; leave %q out", o.node)
	case o.asKubelet && len(o.groups) > 0:
		return command.Usagef("--groups: the API server knows the groups of the user of --as-kubelet")
	case o.asKubelet && o.dump:
		return command.Usagef("--dump: a kubelet may not read RBAC; leave --as-kubelet out")
	case !o.asKubelet && !o.dump && !o.rbac && len(o.auditLog) == 0 && o.node == "":
		return command.Usagef("name a node, or use --as-kubelet with the kubeconfig of a kubelet")
	case o.agents && (o.node == "" || o.asKubelet || o.dump || len(o.auditLog) > 0):
		return command.Usagef("--agents: name a node; leave --as-kubelet, --dump and --audit-log out")
	case o.agents && (o.full || o.repeat > 1 || o.accept != "" || len(o.groups) > 0 || o.refused || o.failOn == failMissing):
		return command.Usagef("--agents: leave --full, --repeat, --accept, --groups, --refused and --fail-on missing out")
	case o.qps <= 0 || o.qps > maxQPS:
		return command.Usagef("--qps: must be more than 0 and at most %d", maxQPS)
	case o.repeat < 1 || o.repeat > maxRepeat:
		return command.Usagef("--repeat: must be from 1 to %d", maxRepeat)
	case (o.full || o.repeat > 1) && (offline || o.dump):
		return command.Usagef("--full and --repeat ask a cluster; leave --from, --audit-log and --dump out")
	case o.timeout <= 0:
		return command.Usagef("--timeout: must be more than 0")
	case o.format != auditlog.Auto && len(o.auditLog) == 0:
		return command.Usagef("--format: only has a meaning with --audit-log")
	case !slices.Contains(failures(), o.failOn):
		return command.Usagef("--fail-on: must be one of %s", strings.Join(failures(), ", "))
	}
	o.asked = Options{
		Node: o.node, Groups: o.groups, Refused: o.refused, Full: o.full, Repeat: o.repeat, FailOn: o.failOn, Now: time.Now().UTC(),
		Retry: retries(),
	}
	return o.checkRelease()
}

func (o *options) checkRelease() error {
	minor := nodeauthorizer.Newest
	if o.kubernetes != "" {
		rest, found := strings.CutPrefix(strings.TrimPrefix(o.kubernetes, "v"), "1.")
		rest, _, _ = strings.Cut(rest, ".")
		var err error
		if minor, err = strconv.Atoi(rest); err != nil || !found {
			return command.Usagef("--kubernetes: %s is no release such as 1.%d", text.Quote(o.kubernetes), nodeauthorizer.Newest)
		}
		o.asked.Minor = minor
	}
	for _, gate := range o.gates {
		name, value, _ := strings.Cut(gate, "=")
		on, err := strconv.ParseBool(value)
		if err != nil {
			return command.Usagef("--feature-gates: %s is not Name=true or Name=false", text.Quote(gate))
		}
		if o.asked.Gates == nil {
			o.asked.Gates = map[nodeauthorizer.Gate]bool{}
		}
		o.asked.Gates[nodeauthorizer.Gate(name)] = on
	}
	if o.kubernetes != "" {
		if _, err := nodeauthorizer.New(minor, o.asked.Gates); err != nil {
			return command.Usagef("--kubernetes: %w", err)
		}
	}
	return nil
}

func (o *options) run(cmd *cobra.Command, output *command.Output) error {
	inputs := &command.Inputs{Stdin: cmd.InOrStdin()}
	if o.accept != "" {
		if err := withFile(inputs, o.accept, func(r io.Reader) error {
			var err error
			o.asked.Accepted, err = readAcceptances(r)
			return err
		}); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	if len(o.auditLog) > 0 {
		usage, err := o.readAuditLog(inputs)
		if err != nil {
			return err
		}
		if output.String() == formatHTML {
			err = usage.writeHTML(out)
		} else {
			err = output.Write(out, usage, usage.WriteText)
		}
		if err != nil {
			return err
		}
		return usage.Err()
	}
	if o.agents {
		report, err := o.agentsReport(cmd.Context(), inputs)
		if err != nil {
			return err
		}
		if err := report.Write(out, output); err != nil {
			return err
		}
		return report.Err()
	}
	report, err := o.report(cmd.Context(), inputs, out)
	if err != nil || report == nil {
		return err
	}
	if output.String() == formatHTML {
		err = report.writeHTML(out)
	} else {
		err = output.Write(out, report, report.WriteText)
	}
	if err != nil {
		return err
	}
	return report.Err()
}

// report returns the report, or nil if a dump was written.
func (o *options) report(ctx context.Context, inputs *command.Inputs, out io.Writer) (*Report, error) {
	if len(o.from) > 0 {
		return o.readFiles(inputs, o.node)
	}
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if o.dump {
		return nil, WriteDump(ctx, client, o.node, out)
	}
	return Live(ctx, client, &o.asked)
}

// client returns a client for the cluster of the kubeconfig.
func (o *options) client() (*access.Client, error) {
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	loading.ExplicitPath = o.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		loading, &clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
	if err != nil {
		return nil, err
	}
	return access.New(config, "rights", o.qps)
}

// agentsReport returns the report of --agents.
func (o *options) agentsReport(ctx context.Context, inputs *command.Inputs) (*AgentsReport, error) {
	if len(o.from) > 0 {
		c, err := o.readCluster(inputs)
		if err != nil {
			return nil, err
		}
		return offlineAgents(c, &o.asked)
	}
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	return LiveAgents(ctx, client, &o.asked)
}

// readFiles reads the files of --from, and says what they say about a node.
func (o *options) readFiles(inputs *command.Inputs, node string) (*Report, error) {
	c, err := o.readCluster(inputs)
	if err != nil {
		return nil, err
	}
	asked := o.asked
	asked.Node = node
	return offline(c, &asked)
}

// readCluster reads the files of --from.
func (o *options) readCluster(inputs *command.Inputs) (*cluster, error) {
	c := &cluster{}
	for _, name := range o.from {
		if err := withFile(inputs, name, func(r io.Reader) error {
			data, err := input.ReadAll(r, maxFile)
			if err != nil {
				return err
			}
			return readCluster(c, data)
		}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (o *options) readAuditLog(inputs *command.Inputs) (*Usage, error) {
	var rights *Report
	minor := nodeauthorizer.Newest
	if len(o.from) > 0 {
		node := o.node
		if node == "" {
			node = anyNode
		}
		var err error
		if rights, err = o.readFiles(inputs, node); err != nil {
			return nil, err
		}
		if _, err := fmt.Sscanf(rights.Table, "1.%d", &minor); err != nil {
			return nil, err
		}
	}
	if o.asked.Minor != 0 {
		minor = o.asked.Minor
	}
	table, err := nodeauthorizer.New(minor, o.asked.Gates)
	if err != nil {
		return nil, err
	}
	reader := newAuditReader(table, &o.asked, o.format)
	for _, name := range o.auditLog {
		if err := withFile(inputs, name, reader.read); err != nil {
			return nil, err
		}
	}
	return reader.finish(rights), nil
}

// withFile opens a file and reads it. Errors name the file.
func withFile(inputs *command.Inputs, name string, read func(io.Reader) error) error {
	f, err := inputs.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := read(f); err != nil {
		return fmt.Errorf("%s: %w", command.Title(name), err)
	}
	return nil
}
