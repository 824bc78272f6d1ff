// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// Targets of the command compile.
const (
	toVAP    = "vap"
	toStatic = "static"
	toValues = "values"
)

func compileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compile [FILE...]",
		Short: "Compile policies to ValidatingAdmissionPolicies, which need no webhook",
		Long: `Compile policies to ValidatingAdmissionPolicies and bindings, which an API server enforces without
the webhook: for API objects (--to vap), or for files that an API server reads at its start
(--to static). With --to values, compile them to values of the chart: policies.conditions says in CEL
what violates each section, so that an API server refuses it while the webhook is down.

Not every rule can be expressed in CEL. --partial says what happens to the others, except with
--to values, which leaves them to the webhook:

  refuse    it is an error, which names them
  narrower  nothing is denied that the webhook allows; the rest is left out
  wider     nothing is allowed that the webhook denies; a rule that cannot be wider is an error

A policy that an API server could not afford to evaluate, or would not accept, is always an error,
which names the field and the rule.

With --guard it also writes policies that keep the webhook's own objects from everyone, cluster
administrators included, who is not a member of --guard-group: the webhook configuration, the policies
of the API server, the CRD, NodeRestrictionPolicies (except new ones), permissions, and the namespace
of the release. Only files can contain them. docs/guard.md says how to install them, how to break the
glass, and what they do not keep.

A sentence about each policy goes to standard error.

Exit code: 0 compiled, 1 a policy cannot be compiled as --partial says, or is too expensive, 2 usage, an
invalid policy, or a file that cannot be read.`,
		Example: `  kubectl nrp compile --partial narrower recommended.yaml | kubectl apply -f -
  kubectl get nrp -o yaml | kubectl nrp compile --to static --partial narrower - > policies.yaml
  kubectl nrp compile --guard --guard-certificate breakglass.crt > guard.yaml
  helm template charts/node-restriction-plus -f values.yaml -s templates/policies.yaml \
    | kubectl nrp compile --to values - > conditions.yaml`,
	}
	to := command.NewOutput(toVAP, toStatic, toValues)
	cmd.Flags().Var(to, "to", "what to compile to")
	command.Complete(cmd, "to", []string{toVAP, toStatic, toValues})
	modes := []string{string(compile.Refuse), string(compile.Narrower), string(compile.Wider)}
	partial := command.NewOutput(modes...)
	cmd.Flags().Var(partial, "partial", "what happens to rules that CEL does not express exactly")
	command.Complete(cmd, "partial", modes)
	actions := cmd.Flags().StringSlice("actions", nil, "validationActions instead of those of the policies, such as `Warn,Audit`")
	kubernetes := cmd.Flags().String("kubernetes", "", "oldest `version` of the API servers, by default 1.31 for vap and 1.37 for static")
	output := command.NewOutput(command.FormatYAML, command.FormatJSON)
	output.AddTo(cmd)
	guard := &guardFlags{}
	guard.addFlags(cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if guard.on {
			return nil
		}
		return command.AtLeastOne("a file or a directory with policies, or - for standard input")(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if guard.on && !cmd.Flags().Changed("to") {
			if err := to.Set(toStatic); err != nil {
				return err
			}
		}
		options := compile.Options{Static: to.String() == toStatic, Partial: compile.Partial(partial.String())}
		if err := checkVersion(*kubernetes, options.Static); err != nil {
			return err
		}
		var err error
		if options.Actions, err = parseActions(*actions); err != nil {
			return err
		}
		if guard.on && !options.Static {
			return command.Usagef("--guard: needs --to static, because policies that are API objects do not see admission configurations")
		}
		inputs := &command.Inputs{Stdin: cmd.InOrStdin()}
		guardOptions, err := guard.options(inputs, cmd.Flags().Changed)
		if err != nil {
			return err
		}
		guardOptions.Actions = options.Actions
		var policies []*manifest.Policy
		if len(args) > 0 {
			if policies, err = loadPolicies(inputs, args); err != nil {
				return err
			}
		}
		if to.String() == toValues {
			return writeValues(cmd, output, policies)
		}
		var objects []any
		if guard.on {
			if err := guard.warn(cmd.ErrOrStderr()); err != nil {
				return err
			}
			for _, kind := range compile.Guard(guardOptions) {
				objects = append(objects, kind.Policy, kind.Binding)
			}
		}
		for _, p := range policies {
			compiled, err := compile.Compile(p.Object, rulesOn(p.Compiled), options)
			if err != nil {
				return &command.ExitError{Code: command.CodeNo, Err: err}
			}
			if _, err := fmt.Fprintln(cmd.ErrOrStderr(), compiled.Report.Summary()); err != nil {
				return err
			}
			for _, kind := range compiled.Kinds {
				objects = append(objects, kind.Policy, kind.Binding)
			}
		}
		return writeObjects(cmd.OutOrStdout(), output, objects)
	}
	return cmd
}

// writeValues writes what sections of policies say in CEL, as values of the chart, and notes on standard error what costs too much.
func writeValues(cmd *cobra.Command, output *command.Output, policies []*manifest.Policy) error {
	entries := []compile.Entry{}
	seen := map[string]bool{}
	for _, p := range policies {
		if p.Object.Spec.Subjects != nil {
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s: spec.subjects: left out, because policies.conditions is about kubelets; the value "+
				"subjects.floor holds node agents to their node while the webhook is down\n", p.Object.Name); err != nil {
				return err
			}
			continue
		}
		all, gaps, err := compile.Entries(p.Object, rulesOn(p.Compiled))
		if err != nil {
			return fmt.Errorf("%s %q: %w", v1alpha1.Kind, p.Object.Name, err)
		}
		for _, gap := range gaps {
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s: %s\n", p.Object.Name, gap.Rule, gap.Why); err != nil {
				return err
			}
		}
		for _, entry := range all {
			if key := string(entry.Rule) + " " + entry.Section; !seen[key] {
				seen[key] = true
				entries = append(entries, entry)
			}
		}
	}
	values := map[string]any{"policies": map[string]any{"conditions": entries}}
	if output.String() == command.FormatJSON {
		return output.Write(cmd.OutOrStdout(), values, nil)
	}
	data, err := yaml.Marshal(values)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(data)
	return err
}

// checkVersion checks that API servers have what is compiled to.
func checkVersion(text string, static bool) error {
	oldest, what := "1.31", "ValidatingAdmissionPolicies with these expressions"
	if static {
		oldest, what = "1.37", "policies in files by default"
	}
	if text == "" {
		return nil
	}
	v, err := version.ParseGeneric(text)
	switch {
	case err != nil:
		return command.Usagef("--kubernetes: %q is not a version such as 1.31", text)
	case v.LessThan(version.MustParseGeneric(oldest)):
		return command.Usagef("--kubernetes: API servers have %s since %s", what, oldest)
	}
	return nil
}

func parseActions(texts []string) ([]v1alpha1.ValidationAction, error) {
	var actions []v1alpha1.ValidationAction
	for _, text := range texts {
		action := v1alpha1.ValidationAction(text)
		if !slices.Contains([]v1alpha1.ValidationAction{v1alpha1.Deny, v1alpha1.Warn, v1alpha1.Audit}, action) {
			return nil, command.Usagef("--actions: %q is not one of Deny, Warn, Audit", text)
		}
		if slices.Contains(actions, action) {
			return nil, command.Usagef("--actions: %s occurs twice", action)
		}
		actions = append(actions, action)
	}
	if slices.Contains(actions, v1alpha1.Deny) && slices.Contains(actions, v1alpha1.Warn) {
		return nil, command.Usagef("--actions: Deny and Warn cannot be combined")
	}
	return actions, nil
}

// rulesOn returns the rules that a policy turns on.
func rulesOn(p *policy.Policy) []policy.Rule {
	on := p.Rules()
	return slices.DeleteFunc(rules.All(), func(r policy.Rule) bool { return !slices.Contains(on, r.ID) })
}

// writeObjects writes objects for kubectl apply, or for a file: as documents of YAML, or as a List in JSON. They have no status.
func writeObjects(w io.Writer, output *command.Output, objects []any) error {
	items := make([]map[string]any, len(objects))
	for i, object := range objects {
		data, err := json.Marshal(object)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, &items[i]); err != nil {
			return err
		}
		delete(items[i], "status")
		if metadata, ok := items[i]["metadata"].(map[string]any); ok && metadata["creationTimestamp"] == nil {
			delete(metadata, "creationTimestamp")
		}
	}
	if output.String() == command.FormatJSON {
		return output.Write(w, map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, nil)
	}
	documents := make([]string, len(items))
	for i, item := range items {
		data, err := yaml.Marshal(item)
		if err != nil {
			return err
		}
		documents[i] = string(data)
	}
	_, err := io.WriteString(w, strings.Join(documents, "---\n"))
	return err
}
