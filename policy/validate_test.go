// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

func TestNewCompilerRefusesRulesThatAreNotComplete(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(rule *policy.Rule)
		want  string
	}{
		"an ID in camel case":   {func(r *policy.Rule) { r.ID = "nodeLabels" }, "kebab-case"},
		"no ID":                 {func(r *policy.Rule) { r.ID = "" }, "kebab-case"},
		"the ID of another":     {func(r *policy.Rule) { r.ID = "pod-self" }, "twice"},
		"a reserved ID":         {func(r *policy.Rule) { r.ID = policy.Unverified }, "reserved"},
		"no title":              {func(r *policy.Rule) { r.Doc.Title = "" }, "Doc.Title is empty"},
		"a title with a period": {func(r *policy.Rule) { r.Doc.Title += "." }, "period"},
		"no fields":             {func(r *policy.Rule) { r.Doc.Fields = nil }, "Doc.Fields is empty"},
		"no targets":            {func(r *policy.Rule) { r.Targets, r.Agents = nil, policy.Agents{} }, "no Targets"},
		"a reason for which a rule that is for node agents is not": {
			func(r *policy.Rule) { r.Agents.Why = "so" }, "both Targets and Why",
		},
		"the ID of what names no node": {func(r *policy.Rule) { r.ID = policy.WithoutNode }, "reserved"},
		"a target without operations": {
			func(r *policy.Rule) { r.Targets = []policy.Target{{Resource: "nodes"}} }, "no Operations",
		},
		"no Compile": {func(r *policy.Rule) { r.Compile = nil }, "no Compile"},
		"no CEL":     {func(r *policy.Rule) { r.CEL = policy.CEL{} }, "CEL.Kind"},
		"a part that CEL does not express, without saying which": {
			func(r *policy.Rule) { r.CEL.Why = "" }, "CEL.Why must say",
		},
		"no expressions":       {func(r *policy.Rule) { r.CEL.Express = nil }, "CEL.Express must be there"},
		"no strictest section": {func(r *policy.Rule) { r.CEL.Strictest = "" }, "CEL.Strictest"},
	} {
		t.Run(name, func(t *testing.T) {
			list := rules.All()
			test.spoil(&list[2]) // node-labels
			if _, err := policy.NewCompiler(list); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
	if _, err := policy.NewCompiler(rules.All()); err != nil {
		t.Error(err)
	}
}
