// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/input"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
)

// Command returns the command authorizer.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "authorizer",
		Short: "Deny kubelets what RBAC adds to the Node authorizer, in the API server itself",
		Long: `Make an entry for the file of the API server's flag --authorization-config, and say what it denies.

The Node authorizer refuses what a kubelet does not need, but a refusal is no denial: the API server
then asks RBAC. So one binding for system:nodes can undo it. The entry stands behind Node and denies
kubelets everything that Node does not allow, except a short list. It is evaluated by the API server
alone, with CEL; nothing has to run.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return command.Usagef("unknown command %s%s", text.Quote(args[0]),
				text.DidYouMean(args[0], []string{"generate", "kubeconfig", "check"}))
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			return errors.Join(cmd.Help(), command.Usagef("no command given"))
		},
	}
	cmd.AddCommand(generateCommand(), kubeconfigCommand(), checkCommand())
	return cmd
}

// entryOptions say which entry is meant.
type entryOptions struct {
	name          string
	kubeconfig    string
	distributions []string
	keep          []string
}

func (o *entryOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&o.distributions, "distribution", nil, "keep what the agents of this `distribution` need; may be repeated")
	command.Complete(cmd, "distribution", distributionNames())
	flags.StringArrayVar(&o.keep, "keep", nil,
		"`file` with Roles and ClusterRoles whose rules the entry leaves to RBAC,\nor - for standard input; may be repeated")
	flags.StringVar(&o.name, "name", program.Name, "`name` of the entry, also in metrics")
}

// entry returns the entry, without a kubeconfig if there is no such flag.
func (o *entryOptions) entry(inputs *command.Inputs) (*Entry, error) {
	if problems := validation.IsDNS1123Subdomain(o.name); len(problems) > 0 {
		return nil, command.Usagef("--name: %s: %s", text.Quote(o.name), problems[0])
	}
	kept, err := keptBy(o.distributions)
	if err != nil {
		return nil, err
	}
	for _, file := range o.keep {
		more, err := readKeptFile(inputs, file)
		if err != nil {
			return nil, fmt.Errorf("--keep: %s: %w", command.Title(file), err)
		}
		kept = append(kept, more...)
	}
	e := NewEntry(kept...)
	e.Name = o.name
	if o.kubeconfig != "" {
		e.Kubeconfig = o.kubeconfig
	}
	return e, e.check()
}

func readKeptFile(inputs *command.Inputs, file string) ([]Permission, error) {
	f, err := inputs.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readKept(f)
}

func readConfiguration(inputs *command.Inputs, file string) ([]byte, error) {
	f, err := inputs.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return input.ReadAll(f, maxConfiguration)
}

func generateCommand() *cobra.Command {
	o := entryOptions{}
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Print an AuthorizationConfiguration with the entry, or insert it into one",
		Long: `Print an AuthorizationConfiguration with the authorizers Node, the entry and RBAC, for the API server's
flag --authorization-config, which replaces --authorization-mode. With --insert-into, print that file
with the entry behind Node: nothing else changes, and an entry of the same name is replaced. The file
itself is not written.

The entry leaves discovery, questions about oneself and the rotation of certificates to RBAC, and what
--distribution and --keep name. It grants nothing: RBAC still has to allow it.

The API server does not start without the file of --kubeconfig-path: see kubectl nrp authorizer
kubeconfig.

Exit code: 0 printed, 1 the order of the authorizers in the file does not allow the entry, 2 usage, or
a file that cannot be read.`,
		Example: `  kubectl nrp authorizer generate --distribution kubeadm > authorization.yaml
  kubectl nrp authorizer generate --insert-into authorization.yaml > new.yaml
  kubectl get clusterrole agent -o yaml | kubectl nrp authorizer generate --keep - > authorization.yaml`,
		Args: command.NoArguments,
	}
	o.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig-path", defaultKubeconfig, "`path` of the kubeconfig of the entry, as API servers see it\n")
	into := flags.String("insert-into", "", "print this AuthorizationConfiguration `file` with the entry, or - for standard input")
	only := flags.Bool("entry-only", false, "print the entry alone, as a list, for tools that make the file themselves")
	kubernetes := flags.String("kubernetes", "", "oldest `version` of the API servers, by default 1.32")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !path.IsAbs(o.kubeconfig) || path.Clean(o.kubeconfig) != o.kubeconfig {
			return command.Usagef("--kubeconfig-path: %s is not an absolute path", text.Quote(o.kubeconfig))
		}
		if *only && *into != "" {
			return command.Usagef("--entry-only and --insert-into: ask for one of them")
		}
		apiVersion, err := apiVersionFor(*kubernetes)
		if err != nil {
			return err
		}
		inputs := &command.Inputs{Stdin: cmd.InOrStdin()}
		e, err := o.entry(inputs)
		if err != nil {
			return err
		}
		out := e.configuration(apiVersion)
		switch {
		case *only:
			out = e.yaml()
		case *into != "":
			if out, err = insertInto(cmd.ErrOrStderr(), inputs, *into, *kubernetes, e); err != nil {
				return err
			}
		}
		_, err = io.WriteString(cmd.OutOrStdout(), out)
		return err
	}
	return cmd
}

// insertInto returns a file with the entry.
func insertInto(notes io.Writer, inputs *command.Inputs, file, kubernetes string, e *Entry) (string, error) {
	data, err := readConfiguration(inputs, file)
	if err != nil {
		return "", fmt.Errorf("--insert-into: %s: %w", command.Title(file), err)
	}
	c, err := parseConfiguration(data)
	if err != nil {
		return "", fmt.Errorf("--insert-into: %s: %w", command.Title(file), err)
	}
	if err := c.checkVersion(kubernetes); err != nil {
		return "", err
	}
	if err := c.check(); err != nil {
		return "", command.No("--insert-into: %s: %w", command.Title(file), err)
	}
	out, err := e.insert(c, data)
	if err != nil {
		return "", fmt.Errorf("--insert-into: %s: %w", command.Title(file), err)
	}
	for _, name := range c.before(e.Name) {
		command.PrintError(notes, program.Plugin, fmt.Sprintf(
			"webhook %s stands before Node, so that the entry cannot deny what it allows", text.Quote(name)))
	}
	return out, nil
}

func kubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the kubeconfig that the entry names",
		Long: `Print the kubeconfig that the entry names, for the path of generate --kubeconfig-path on each machine
with an API server. An API server requires the file, and never connects to the server in it. It
contains no credential.`,
		Example: `  kubectl nrp authorizer kubeconfig > authorizer.kubeconfig`,
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), kubeconfig)
			return err
		},
	}
}

func checkCommand() *cobra.Command {
	o := entryOptions{}
	cmd := &cobra.Command{
		Use:   "check {--config FILE | --audit-log FILE | --from FILE}...",
		Short: "Say what the entry would deny, and whether a file has it in the right place",
		Long: `Say whether an AuthorizationConfiguration has the entry in the right place (--config), which requests
of kubelets in audit logs are allowed now and would be denied (--audit-log): by user agent, with the
binding that allows them, and which bindings give kubelets what the entry denies (--from). The entry
is the one that generate makes with the same --distribution and --keep.

An audit log is that of an API server, of level Metadata or higher, also compressed by gzip, and also as
log services of cloud providers keep it (--format). It must have the reads of kubelets, too. --from
reads roles and bindings as kubectl prints them.

Exit code: 0 nothing that is allowed now would be denied, and the configuration is as it must be; 1
something would be denied, or is wrong with the configuration; 2 usage, a file that cannot be read, or
audit logs without kubelets.`,
		Example: `  kubectl nrp authorizer check --distribution kubeadm --audit-log audit.log --audit-log audit-1.log.gz
  kubectl nrp authorizer check --distribution kubeadm --config authorization.yaml
  kubectl get clusterroles,clusterrolebindings,roles,rolebindings -A -o json | kubectl nrp authorizer check --from -`,
		Args:                  command.NoArguments,
		DisableFlagsInUseLine: true,
	}
	o.addFlags(cmd)
	flags := cmd.Flags()
	config := flags.String("config", "", "AuthorizationConfiguration `file`, or - for standard input")
	kubernetes := flags.String("kubernetes", "",
		"`version` of the API servers, such as 1.34;\nby default Node counts if it allows a request in all")
	logs := flags.StringArray("audit-log", nil, "audit log `file`, or - for standard input; may be repeated")
	format := auditlog.Auto
	flags.Var(&format, "format", auditlog.FormatUsage)
	command.Complete(cmd, "format", auditlog.Formats())
	from := flags.StringArray("from", nil, "`file` with roles and bindings, or - for standard input; may be repeated")
	output := command.AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *config == "" && len(*logs) == 0 && len(*from) == 0 {
			return command.Usagef("name what to check with --config, --audit-log or --from")
		}
		if format != auditlog.Auto && len(*logs) == 0 {
			return command.Usagef("--format: only has a meaning with --audit-log")
		}
		inputs := &command.Inputs{Stdin: cmd.InOrStdin()}
		e, err := o.entry(inputs)
		if err != nil {
			return err
		}
		minor, err := minorOf(*kubernetes)
		if err != nil {
			return err
		}
		report, err := newReport(e, minor)
		if err != nil {
			return command.Usagef("--kubernetes: %w", err)
		}
		if *config != "" {
			data, err := readConfiguration(inputs, *config)
			if err != nil {
				return fmt.Errorf("--config: %s: %w", command.Title(*config), err)
			}
			c, err := parseConfiguration(data)
			if err != nil {
				return fmt.Errorf("--config: %s: %w", command.Title(*config), err)
			}
			report.addConfiguration(c.Problems(e))
		}
		if err := report.readLogs(inputs, newLog(format), *logs); err != nil {
			return err
		}
		for _, file := range *from {
			if err := report.readRBAC(inputs, file); err != nil {
				return fmt.Errorf("--from: %s: %w", command.Title(file), err)
			}
		}
		if len(*from) > 0 {
			if err := report.addGrants(); err != nil {
				return fmt.Errorf("--from: %w", err)
			}
		}
		report.finish()
		if err := output.Write(cmd.OutOrStdout(), report, report.writeText); err != nil {
			return err
		}
		return report.err(len(*logs) > 0)
	}
	return cmd
}
