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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

func rulesCommand() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "rules [--policy FILE]...",
		Short: "List all rules, or those that policies turn on and what they allow",
		Long: `List all rules with the section of a policy that turns each on and the writes it looks at. With
--policy, list the rules that a policy turns on, each with its section, which says what is allowed
beyond what a stock kubelet needs; {} allows nothing beyond.`,
		Example: `  kubectl nrp rules
  kubectl nrp rules --policy recommended.yaml`,
		Args: command.NoArguments,
	}
	cmd.Flags().StringArrayVar(&files, "policy", nil, policyFlag)
	output := command.AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w := cmd.OutOrStdout()
		if len(files) == 0 {
			catalogue := listRules()
			list := command.NewList("RuleList", catalogue)
			return output.Write(w, list, func(w io.Writer) error { return writeCatalogue(w, catalogue) })
		}
		objects, err := loadPolicies(&command.Inputs{Stdin: cmd.InOrStdin()}, files)
		if err != nil {
			return err
		}
		policies := make([]policyRules, len(objects))
		for i, o := range objects {
			if policies[i], err = rulesOf(o); err != nil {
				return err
			}
		}
		return output.Write(w, command.NewList("PolicyRulesList", policies), func(w io.Writer) error { return writePolicyRules(w, policies) })
	}
	return cmd
}

// listedRule is a rule in the catalogue.
type listedRule struct {
	ID      policy.RuleID `json:"id"`
	Title   string        `json:"title"`
	Spec    string        `json:"spec"`
	Targets []target      `json:"targets"`
	Agents  []target      `json:"agentTargets,omitempty"` // the writes of node agents
}

func listRules() []listedRule {
	var all []listedRule
	for _, rule := range rules.All() {
		all = append(all, listedRule{rule.ID, rule.Doc.Title, rule.Doc.Spec, targets(rule.Targets), targets(rule.Agents.Targets)})
	}
	return all
}

func writeCatalogue(w io.Writer, rules []listedRule) error {
	t := command.Table{Header: []string{"RULE", "SECTION", "WRITES"}}
	for _, rule := range rules {
		var writes []string
		for _, target := range rule.Targets {
			writes = append(writes, target.Resource+" "+strings.Join(target.Operations, ","))
		}
		if len(rule.Targets) == 0 {
			writes = append(writes, "of node agents only")
		}
		t.Add(string(rule.ID), rule.Spec, strings.Join(writes, "; "))
	}
	return t.Write(w)
}

// policyRules are the rules that a policy turns on.
type policyRules struct {
	Policy            string                      `json:"policy"`
	ValidationActions []v1alpha1.ValidationAction `json:"validationActions"`
	Subjects          *v1alpha1.Subjects          `json:"subjects,omitempty"`
	Match             *v1alpha1.Match             `json:"match,omitempty"`
	Rules             []activeRule                `json:"rules"`
	RulesOff          []policy.RuleID             `json:"rulesOff,omitempty"`
}

// activeRule is a rule that is on, with its section.
type activeRule struct {
	ID      policy.RuleID   `json:"id"`
	Spec    string          `json:"spec"`
	Section json.RawMessage `json:"section"`
}

func rulesOf(o *manifest.Policy) (policyRules, error) {
	p := policyRules{
		Policy: o.Object.Name, ValidationActions: o.Object.Spec.ValidationActions,
		Subjects: o.Object.Spec.Subjects, Match: o.Object.Spec.Match,
		Rules: []activeRule{},
	}
	if len(p.ValidationActions) == 0 {
		p.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	}
	on := o.Compiled.Rules()
	for _, rule := range rules.All() {
		if !slices.Contains(on, rule.ID) {
			if p.Subjects != nil && !rule.Agents.Apply() || p.Subjects == nil && !rule.ForKubelets() {
				continue
			}
			p.RulesOff = append(p.RulesOff, rule.ID)
			continue
		}
		section, err := sectionOf(o.Object, rule.Doc.Spec)
		if err != nil {
			return p, fmt.Errorf("rule %s: %w", rule.ID, err)
		}
		p.Rules = append(p.Rules, activeRule{rule.ID, rule.Doc.Spec, section})
	}
	return p, nil
}

// sectionOf returns the part of a policy under a path such as spec.nodes.labels.
func sectionOf(p *v1alpha1.NodeRestrictionPolicy, path string) (json.RawMessage, error) {
	section, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(path, ".") {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(section, &fields); err != nil {
			return nil, err
		}
		var found bool
		if section, found = fields[name]; !found {
			return nil, fmt.Errorf("the policy has no %s", path)
		}
	}
	return section, nil
}

func writePolicyRules(w io.Writer, policies []policyRules) error {
	for i, p := range policies {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := p.writeText(w); err != nil {
			return err
		}
	}
	return nil
}

func (p policyRules) writeText(w io.Writer) error {
	var actions []string
	for _, action := range p.ValidationActions {
		actions = append(actions, string(action))
	}
	t := command.Table{Header: []string{"RULE", "SECTION", "SETTINGS"}}
	for _, rule := range p.Rules {
		section, err := yaml.JSONToYAML(rule.Section)
		if err != nil {
			return err
		}
		t.Add(string(rule.ID), rule.Spec, string(section))
	}
	_, err := fmt.Fprintf(w, "%s %q: %s\n%s\n", v1alpha1.Kind, p.Policy, strings.Join(actions, ", "), p.matched())
	if err != nil {
		return err
	}
	if err := t.Write(w); err != nil || len(p.RulesOff) == 0 {
		return err
	}
	var off []string
	for _, id := range p.RulesOff {
		off = append(off, string(id))
	}
	_, err = io.WriteString(w, command.WrapHanging("off: "+strings.Join(off, ", "), "     ", textWidth))
	return err
}

// clients says in words which node agents the policy is for, if it is not for kubelets.
func (p policyRules) clients() string {
	if p.Subjects == nil {
		return ""
	}
	var names []string
	for _, account := range p.Subjects.ServiceAccounts {
		names = append(names, account.Namespace+"/"+account.Name)
	}
	for _, prefix := range p.Subjects.UsernamePrefixes {
		names = append(names, string(prefix)+"*")
	}
	return text.Printable(strings.Join(names, ", "))
}

// matched says in words which clients the policy restricts.
func (p policyRules) matched() string {
	clients := p.clients()
	if clients == "" {
		return p.nodes("for all kubelets", "for the kubelets ")
	}
	return p.nodes("for the node agents "+clients, "for the node agents "+clients+" on ")
}

// nodes says in words which nodes the policy is for, given what to say of all nodes and of some.
func (p policyRules) nodes(all, some string) string {
	if p.Match == nil {
		return all
	}
	list := func(patterns []v1alpha1.Pattern) string {
		names := make([]string, len(patterns))
		for i, pattern := range patterns {
			names[i] = string(pattern)
		}
		return text.Printable(strings.Join(names, ", "))
	}
	matched := all
	if len(p.Match.NodeNames) > 0 {
		matched = some + list(p.Match.NodeNames)
	}
	if len(p.Match.ExcludeNodeNames) > 0 {
		matched += " except " + list(p.Match.ExcludeNodeNames)
	}
	if p.Match.NodeSelector != nil {
		matched += ", if their Node matches " + text.Printable(metav1.FormatLabelSelector(p.Match.NodeSelector))
	}
	return matched
}
