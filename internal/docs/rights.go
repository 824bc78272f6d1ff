// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/knowngrants"
	"noderestriction.plus/internal/nodeauthorizer"
)

// NodeAuthorizer renders the page about what the Node authorizer allows and what distributions add. It needs the table of each
// release from [nodeauthorizer.Oldest] to [nodeauthorizer.Newest].
func NodeAuthorizer(tables []*nodeauthorizer.Table, grants []knowngrants.Grant) string {
	newest := tables[len(tables)-1]
	var b strings.Builder
	b.WriteString(`<!-- Generated from internal/nodeauthorizer and internal/knowngrants by make generate. -->

# What the Node authorizer allows

`)
	fmt.Fprintf(&b, `This is the table with which [%s](kubelet-rights.md) compares a cluster: Kubernetes 1.%d to 1.%d, with the
default feature gates. A test compares it with the Node authorizer's own code in 100,000 drawn requests, and another asks a real
API server about every cell.

`, monospace("kubectl nrp rights"), tables[0].Minor, newest.Minor)
	b.WriteString(`## Allowed

"Narrowed" means that the NodeRestriction admission plugin refuses most of what the authorizer allows, such as changing other Nodes.
"Related" means that the authorizer's graph has a path from the object to the node: through its pods, or because the object names the node.

| resource | verbs | for | releases | source |
|---|---|---|---|---|
`)
	for _, r := range mergedRules(tables) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | [%s](%s) |\n",
			monospace(resourceOf(r.rule)), strings.Join(r.rule.Verbs, ", "), conditionOf(r.rule),
			releases(r.minors, tables), lineOf(r.rule), r.rule.URL())
	}
	b.WriteString(`
## Refused, and asked about

What a kubelet could do if another authorizer allows it. The most dangerous come first.

| danger | resource | verbs | a kubelet |
|---|---|---|---|
`)
	for _, row := range refusedRows(newest) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.danger, monospace(row.resource), strings.Join(row.verbs, ", "), row.why)
	}
	b.WriteString(`
## Added by Kubernetes and distributions

Bindings that give kubelets more by RBAC. The command puts a permission into the class known if the binding, the role and the permission are
those of this table, and the danger is low or medium. What is more dangerous stays widened. Managed services were not tried; the sources are
public manifests, issues and listings of the dates given.

| distribution | binding | gives | effect | source | as of |
|---|---|---|---|---|---|
`)
	for i := range grants {
		g := &grants[i]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", g.Distribution, bindingOf(g), givesOf(g), g.Effect, g.Source, g.SourceAt)
	}
	return b.String()
}

func monospace(s string) string { return "`" + s + "`" }

func resourceOf(r *nodeauthorizer.Rule) string {
	resource, subresource, _ := strings.Cut(strings.TrimSuffix(r.Resource, "/*"), "/")
	return (&authorization.Request{Group: r.Group, Resource: resource, Subresource: subresource}).GroupResource()
}

func lineOf(r *nodeauthorizer.Rule) string {
	return r.Source[strings.LastIndex(r.Source, "/")+1:]
}

func conditionOf(r *nodeauthorizer.Rule) string {
	text := map[nodeauthorizer.Condition]string{
		nodeauthorizer.Always: "any object", nodeauthorizer.OwnName: "the object with the node's name",
		nodeauthorizer.InLeases: "the namespace kube-node-lease", nodeauthorizer.OwnLease: "kube-node-lease, with the node's name",
		nodeauthorizer.OwnSelector: "`spec.nodeName=` the node", nodeauthorizer.Related: "one related object",
		nodeauthorizer.RelatedInSpace: "one related object",
	}[r.Condition]
	if r.Narrowed {
		text += "; narrowed"
	}
	return text
}

// mergedRule is a rule with the releases that have it by default.
type mergedRule struct {
	rule   *nodeauthorizer.Rule
	minors []int
}

func mergedRules(tables []*nodeauthorizer.Table) []*mergedRule {
	var merged []*mergedRule
	index := map[string]*mergedRule{}
	for _, table := range tables {
		for _, rule := range table.Rules() {
			key := strings.Join([]string{
				resourceOf(&rule), strings.Join(rule.Verbs, " "), string(rule.Condition), fmt.Sprint(rule.Narrowed), rule.Source,
			}, "|")
			if index[key] == nil {
				index[key] = &mergedRule{rule: &rule}
				merged = append(merged, index[key])
			}
			if m := index[key]; !slices.Contains(m.minors, table.Minor) {
				m.minors = append(m.minors, table.Minor)
			}
		}
	}
	slices.SortStableFunc(merged, func(a, b *mergedRule) int {
		return cmp.Or(cmp.Compare(resourceOf(a.rule), resourceOf(b.rule)), cmp.Compare(a.minors[0], b.minors[0]))
	})
	return merged
}

// releases names the releases of a rule.
func releases(minors []int, tables []*nodeauthorizer.Table) string {
	first, last := minors[0], minors[len(minors)-1]
	oldest, newest := tables[0].Minor, tables[len(tables)-1].Minor
	switch {
	case first == oldest && last == newest:
		return "all"
	case first == oldest:
		return fmt.Sprintf("to 1.%d", last)
	case last == newest:
		return fmt.Sprintf("from 1.%d", first)
	}
	if first == last {
		return fmt.Sprintf("1.%d", first)
	}
	return fmt.Sprintf("1.%d to 1.%d", first, last)
}

// refusedRow is a row of what is refused: the verbs that mean the same.
type refusedRow struct {
	danger        nodeauthorizer.Danger
	resource, why string
	verbs         []string
}

func refusedRows(table *nodeauthorizer.Table) []*refusedRow {
	var rows []*refusedRow
	index := map[[3]string]*refusedRow{}
	for _, c := range table.Cells() {
		if c.Intent != nodeauthorizer.Refused {
			continue
		}
		resource := (&authorization.Request{Group: c.Group, Resource: c.Resource, Subresource: c.Subresource, Path: c.Path}).GroupResource()
		key := [3]string{c.Danger.String(), resource, c.Why}
		row := index[key]
		if row == nil {
			row = &refusedRow{danger: c.Danger, resource: resource, why: c.Why}
			index[key] = row
			rows = append(rows, row)
		}
		if !slices.Contains(row.verbs, c.Verb) {
			row.verbs = append(row.verbs, c.Verb)
		}
	}
	slices.SortStableFunc(rows, func(a, b *refusedRow) int { return cmp.Compare(b.danger, a.danger) })
	return rows
}

func bindingOf(g *knowngrants.Grant) string {
	name := g.Binding
	switch {
	case g.Namespace != "":
		name = g.Namespace + "/" + name
	case g.Kind == "RoleBinding":
		name = "…/" + name
	}
	return g.Kind + " " + monospace(name)
}

func givesOf(g *knowngrants.Grant) string {
	if g.FullNode {
		return "the ClusterRole `system:node`"
	}
	var list []string
	for _, rule := range g.Rules {
		verbs := strings.ReplaceAll(rule.Verbs, " ", ", ")
		switch {
		case rule.Paths != "":
			list = append(list, verbs+" "+monospace(rule.Paths))
			continue
		case rule.Names != "":
			verbs += " " + monospace(rule.Names) + " of"
		}
		var resources []string
		for _, resource := range strings.Fields(rule.Resources) {
			resource, subresource, _ := strings.Cut(resource, "/")
			request := authorization.Request{Group: firstWord(rule.Group), Resource: resource, Subresource: subresource}
			resources = append(resources, request.GroupResource())
		}
		list = append(list, verbs+" "+monospace(strings.Join(resources, " ")))
	}
	return strings.Join(list, "; ")
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}
