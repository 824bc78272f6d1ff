// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs renders the pages under docs/ that are generated from code.
package docs

import (
	"fmt"
	"strings"

	"noderestriction.plus/internal/apidoc"
	"noderestriction.plus/policy"
)

// Example is a policy and a write that it denies.
type Example struct {
	Title  string // a sentence about the write
	Policy string // the spec, as YAML
	Denial string // the message of the denial
}

// Rules renders docs/rules.md: for each rule what it stops, what a kubelet legitimately does there, and how to turn it on and set it,
// with an example for each.
func Rules(rules []policy.Rule, examples map[policy.RuleID]Example, reference *apidoc.Reference) string {
	var b strings.Builder
	b.WriteString("<!-- Generated from policy/rules and the CRD by make generate. -->\n\n# Rules\n\n")
	b.WriteString("A policy turns a rule on by having its section. An empty section (`{}`) is the strictest setting that a stock kubelet " +
		"passes. `kubectl nrp explain <rule>` shows the same in a terminal; the [API reference](api.md) has all fields.\n\n" +
		"| rule | what it says | section |\n|---|---|---|\n")
	for i := range rules {
		r := &rules[i]
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | `%s` |\n", r.ID, r.ID, r.Doc.Title, r.Doc.Spec)
	}
	for i := range rules {
		r := &rules[i]
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n%s\n\n", r.ID, r.Doc.Title, r.Doc.Text)
		fmt.Fprintf(&b, "**A stock kubelet.** %s\n\n", r.Doc.Kubelet)
		fmt.Fprintf(&b, "**An attempt that it denies:**\n\n```sh\n%s\n```\n\n", r.Doc.Attack)
		writeSettings(&b, r.Doc.Spec, reference)
		if e, ok := examples[r.ID]; ok {
			fmt.Fprintf(&b, "**Example.** %s\n\n```yaml\nspec:\n%s\n```\n\n```\n%s\n```\n\n",
				e.Title, indent(e.Policy), e.Denial)
		}
		fmt.Fprintf(&b, "| | |\n|---|---|\n| section | `%s` |\n| fields | %s |\n| writes | %s |\n| node agents | %s |\n"+
			"| since | %s |\n| source | %s |\n",
			r.Doc.Spec, code(r.Doc.Fields), cell(orNone(targets(r.Targets))), agents(r), r.Doc.Since, r.Doc.Source)
	}
	return b.String()
}

// writeSettings writes what the section of a rule means if it is omitted or empty, and its settings.
func writeSettings(b *strings.Builder, section string, reference *apidoc.Reference) {
	f := reference.Find(section)
	if f == nil {
		return
	}
	fmt.Fprintf(b, "**Section `%s`.** %s\n\n", section, f.Omitted)
	settings := f.Settings()
	if len(settings) == 0 {
		return
	}
	b.WriteString("| setting | type | meaning |\n|---|---|---|\n")
	for i := range settings {
		s := &settings[i]
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", s.Path, cell(s.Type), cell(strings.TrimSpace(s.Text+" "+s.Omitted)))
	}
	b.WriteString("\n")
}

func indent(yaml string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(yaml), "\n", "\n  ")
}

func code(words []string) string {
	return "`" + strings.Join(words, "`, `") + "`"
}

// agents says what a rule means in a policy for node agents.
func agents(r *policy.Rule) string {
	switch {
	case len(r.Agents.Targets) > 0:
		return targets(r.Agents.Targets)
	case r.Agents.Apply():
		return "the resources that the section names"
	}
	return "refused beside `spec.subjects`: " + r.Agents.Why
}

// orNone returns a list of writes by kubelets, or a text if the list is empty.
func orNone(writes string) string {
	if writes == "" {
		return "none of kubelets"
	}
	return writes
}

func targets(list []policy.Target) string {
	var texts []string
	for _, t := range list {
		resource := t.Resource
		if t.Subresource != "" {
			resource += "/" + t.Subresource
		}
		for _, op := range t.Operations {
			texts = append(texts, fmt.Sprintf("%s `%s`", op, resource))
		}
	}
	return strings.Join(texts, ", ")
}
