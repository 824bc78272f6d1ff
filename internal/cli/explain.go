// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain [RULE|SECTION|MESSAGE]...",
		Short: "Explain rules, or list all rules",
		Long: `Explain rules: what each restricts, what an attacker gains without it, what a stock kubelet
writes there, which writes it looks at and which section of a policy turns it on. Name a rule by
its ID, by its section such as spec.nodes.labels, or as it stands in a denial; or paste the whole
message of a denial. Without an argument all rules are listed.`,
		Example: `  kubectl nrp explain node-labels spec.nodes.taints
  kubectl nrp explain node owner references
  kubectl nrp explain 'node labels (must not add "example.com/dedicated")'`,
		ValidArgsFunction: completeRules,
	}
	output := command.AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w := cmd.OutOrStdout()
		if len(args) == 0 {
			titles := ruleTitles()
			return output.Write(w, command.NewList("RuleTitleList", titles), func(w io.Writer) error { return writeTitles(w, titles) })
		}
		found, err := explainAll(args)
		if err != nil {
			return err
		}
		return output.Write(w, command.NewList("RuleExplanationList", found), func(w io.Writer) error {
			for i := range found {
				if i > 0 {
					if _, err := io.WriteString(w, "\n"); err != nil {
						return err
					}
				}
				if err := found[i].writeText(w); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// explanation is the documentation of a rule as it is printed.
type explanation struct {
	ID      policy.RuleID `json:"id"`
	Title   string        `json:"title"`
	Text    string        `json:"text"`
	Kubelet string        `json:"kubelet,omitempty"`
	Attack  string        `json:"attack,omitempty"`
	Spec    string        `json:"spec,omitempty"`
	Fields  []string      `json:"fields,omitempty"`
	Targets []target      `json:"targets,omitempty"`
	Agents  []target      `json:"agentTargets,omitempty"` // the writes of node agents
	Since   string        `json:"since,omitempty"`
	Source  string        `json:"source,omitempty"`

	sectionDoc
}

type target struct {
	Resource   string   `json:"resource"` // with the subresource, such as nodes/status
	Operations []string `json:"operations"`
}

func explainRule(rule policy.Rule) explanation {
	return explanation{
		ID: rule.ID, Title: rule.Doc.Title, Text: rule.Doc.Text, Kubelet: rule.Doc.Kubelet, Attack: rule.Doc.Attack,
		Spec: rule.Doc.Spec, Fields: rule.Doc.Fields, Targets: targets(rule.Targets), Agents: targets(rule.Agents.Targets),
		Since: rule.Doc.Since, Source: rule.Doc.Source,
	}
}

func targets(of []policy.Target) []target {
	var all []target
	for _, t := range of {
		described := target{Resource: t.Resource}
		if t.Subresource != "" {
			described.Resource += "/" + t.Subresource
		}
		for _, op := range t.Operations {
			described.Operations = append(described.Operations, string(op))
		}
		all = append(all, described)
	}
	return all
}

// unverified explains what is no rule but stands in denials like one.
func unverified() explanation {
	return explanation{
		ID:    policy.Unverified,
		Title: "A write that cannot be evaluated is denied by each policy that would have evaluated it",
		Text: "It is no rule and has no section in a policy. A violation has this name if the written object could not be " +
			"read (it is malformed, has a duplicate field or is too large), if a lookup failed (the labels of a Node for " +
			"spec.match.nodeSelector), or if evaluating the write failed in the webhook itself. An attacker can cause most of " +
			"these, so none of them lets a write through. A stock kubelet writes well-formed objects: if it is denied with " +
			"this name, the violation's detail says which it was, and the log of the webhook says more.",
		Since: "v0.1.0",
	}
}

// withoutNode explains what is no rule but stands in denials like one.
func withoutNode() explanation {
	return explanation{
		ID:    policy.WithoutNode,
		Title: "A node agent must use a credential that names its node",
		Text: "It is no rule: spec.subjects.withoutNode says whether such a write is a violation or only recorded. A violation has this " +
			"name if a policy names the service account and evaluates the write, but the token is bound to no pod, or the user name " +
			"ends in no name of a node. Anyone can use such a token anywhere, so nothing holds it to a node. docs/node-agents.md says " +
			"which agents have one, and how to give them another.",
		Spec:  "spec.subjects",
		Since: "v0.1.0",
	}
}

// explainAll finds the rules that arguments name: one that all of them name together, such as "node owner references", or else those
// that each of them names.
func explainAll(args []string) ([]explanation, error) {
	if found := explain(strings.Join(args, " ")); len(found) > 0 {
		return documented(found)
	}
	var all []explanation
	for _, arg := range args {
		found := explain(arg)
		if len(found) == 0 {
			if len(args) > 1 && !slices.ContainsFunc(args, func(arg string) bool { return len(explain(arg)) > 0 }) {
				arg = strings.Join(args, " ")
			}
			return nil, command.Usagef("no rule is named %s%s", text.Quote(arg), text.DidYouMean(idOf(arg), ruleIDs()))
		}
		all = append(all, found...)
	}
	return documented(all)
}

// documented adds the documentation of their sections to explanations.
func documented(all []explanation) ([]explanation, error) {
	for i := range all {
		if all[i].Spec == "" {
			continue
		}
		var err error
		if all[i].sectionDoc, err = documentedSection(all[i].Spec); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// idOf is the ID of the rule that a message names, in which spaces stand for hyphens.
func idOf(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), "-")) }

// explain finds the rules that are meant by an ID, by a name in a message, by a section of a policy or the sections below it, or that
// a message names.
func explain(name string) []explanation {
	id := policy.RuleID(idOf(name))
	switch id {
	case policy.Unverified:
		return []explanation{unverified()}
	case policy.WithoutNode:
		return []explanation{withoutNode()}
	}
	var below, named []explanation
	message := " " + strings.ToLower(strings.Join(strings.Fields(name), " "))
	for _, rule := range rules.All() {
		switch section := strings.TrimPrefix(rule.Doc.Spec, "spec."); {
		case rule.ID == id:
			return []explanation{explainRule(rule)}
		case isSection(name, section):
			below = append(below, explainRule(rule))
		case strings.Contains(message, " "+rule.ID.Reason()+" ("):
			named = append(named, explainRule(rule))
		}
	}
	if len(below) > 0 {
		return below
	}
	return named
}

// isSection reports whether a path, with spec. or without, is that of a section, of a field in it or of the group around it.
func isSection(path, section string) bool {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "nrp."), "spec.")
	return path != "" && !strings.ContainsAny(path, " ()") &&
		(path == section || strings.HasPrefix(path, section+".") || strings.HasPrefix(section, path+"."))
}

// ruleIDs are the names that explain knows.
func ruleIDs() []string {
	var ids []string
	for _, rule := range rules.All() {
		ids = append(ids, string(rule.ID))
	}
	return append(ids, string(policy.Unverified), string(policy.WithoutNode))
}

func completeRules(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var completions []string
	for _, t := range ruleTitles() {
		completions = append(completions, cobra.CompletionWithDesc(string(t.ID), t.Title))
	}
	return completions, cobra.ShellCompDirectiveNoFileComp
}

// ruleTitle is a line in the list of all rules.
type ruleTitle struct {
	ID    policy.RuleID `json:"id"`
	Title string        `json:"title"`
}

func ruleTitles() []ruleTitle {
	var titles []ruleTitle
	for _, rule := range rules.All() {
		titles = append(titles, ruleTitle{rule.ID, rule.Doc.Title})
	}
	for _, e := range []explanation{unverified(), withoutNode()} {
		titles = append(titles, ruleTitle{e.ID, e.Title})
	}
	return titles
}

func writeTitles(w io.Writer, titles []ruleTitle) error {
	t := command.Table{Header: []string{"RULE", "TITLE"}}
	for _, title := range titles {
		t.Add(string(title.ID), title.Title)
	}
	return t.Write(w)
}

// textWidth is the width of a text for a terminal, in columns.
const textWidth = 80

func (e explanation) writeText(w io.Writer) error {
	var b strings.Builder
	section := func(heading, body string) {
		if body != "" {
			fmt.Fprintf(&b, "\n%s\n%s", heading, body)
		}
	}
	fmt.Fprintf(&b, "%s\n", e.ID)
	b.WriteString(command.Wrap(e.Title, "  ", textWidth))
	b.WriteString("\n" + command.Wrap(e.Text, "", textWidth))
	section("What a stock kubelet writes, which always passes:", command.Wrap(e.Kubelet, "  ", textWidth))
	section("An attempt that it denies:", command.WrapCommand(e.Attack, "  ", textWidth))
	if e.Spec != "" {
		section("Turned on by the section of a policy:", fmt.Sprintf("  %s\n  (kubectl explain nrp.%s)\n", e.Spec, e.Spec)+
			command.Wrap(e.Omitted, "  ", textWidth))
	}
	section("Settings:", e.settingsText())
	section("Looks at:", command.Wrap(strings.Join(e.Fields, ", "), "  ", textWidth))
	var writes strings.Builder
	for _, t := range e.Targets {
		fmt.Fprintf(&writes, "  %s: %s\n", t.Resource, strings.Join(t.Operations, ", "))
	}
	section("In the writes:", writes.String())
	writes.Reset()
	for _, t := range e.Agents {
		fmt.Fprintf(&writes, "  %s: %s\n", t.Resource, strings.Join(t.Operations, ", "))
	}
	section("In the writes of node agents, in a policy with spec.subjects:", writes.String())
	section("Since:", command.Wrap(e.Since, "  ", textWidth))
	section("Source:", command.Wrap(e.Source, "  ", textWidth))
	_, err := io.WriteString(w, b.String())
	return err
}
