// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs renders the pages under docs/ that are generated from code.
package docs

import (
	"fmt"
	"strings"

	"noderestriction.plus/policy"
)

// Example is a policy and a write that it denies.
type Example struct {
	Title  string // a sentence about the write
	Policy string // the spec, as YAML
	Denial string // what the kubelet is told
}

// Rules renders docs/rules.md: for each rule what it stops, what a kubelet legitimately does there, and how to turn it on,
// with an example for each.
func Rules(rules []policy.Rule, examples map[policy.RuleID]Example) string {
	var b strings.Builder
	b.WriteString("<!-- Generated from policy/rules by make generate. -->\n\n# Rules\n\n")
	b.WriteString("A policy turns a rule on by having its section; an empty section (`{}`) is the rule at its strictest that a " +
		"stock kubelet still passes. `kubectl explain nrp.spec` and `kubectl nrp explain <rule>` say the same " +
		"at the terminal.\n\n| rule | what it says | section |\n|---|---|---|\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | `%s` |\n", r.ID, r.ID, r.Doc.Title, r.Doc.Spec)
	}
	for _, r := range rules {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n%s\n\n", r.ID, r.Doc.Title, r.Doc.Text)
		fmt.Fprintf(&b, "**A stock kubelet.** %s\n\n", r.Doc.Kubelet)
		fmt.Fprintf(&b, "**Denied, for example:**\n\n```sh\n%s\n```\n\n", r.Doc.Attack)
		if e, ok := examples[r.ID]; ok {
			fmt.Fprintf(&b, "**Policy, for example.** %s\n\n```yaml\nspec:\n%s\n```\n\n```\n%s\n```\n\n",
				e.Title, indent(e.Policy), e.Denial)
		}
		fmt.Fprintf(&b, "| | |\n|---|---|\n| section | `%s` |\n| looks at | %s |\n| in | %s |\n| since | %s |\n| source | %s |\n",
			r.Doc.Spec, code(r.Doc.Fields), targets(r.Targets), r.Doc.Since, r.Doc.Source)
	}
	return b.String()
}

func indent(yaml string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(yaml), "\n", "\n  ")
}

func code(words []string) string {
	return "`" + strings.Join(words, "`, `") + "`"
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
