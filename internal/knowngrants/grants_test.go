// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package knowngrants

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
)

func newTable(t *testing.T) *nodeauthorizer.Table {
	t.Helper()
	table, err := nodeauthorizer.New(nodeauthorizer.Newest, nil)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// match returns a match of RBAC by the binding of a grant.
func match(g *Grant) *rbac.Grant {
	kind := rbac.ClusterRole
	if g.Kind == rbac.RoleBinding {
		kind = rbac.Role
	}
	namespace := g.Namespace
	if g.Kind == rbac.RoleBinding && namespace == "" {
		namespace = "any"
	}
	return &rbac.Grant{
		BindingKind: g.Kind, BindingNamespace: namespace, Binding: g.Binding, RoleKind: kind, Role: g.Role, Subject: rbacv1.Subject{Kind: "Group", Name: g.To},
	}
}

// requests returns what a grant allows.
func requests(g *Grant) []authorization.Request {
	if g.FullNode {
		return []authorization.Request{{Verb: "list", Resource: "secrets"}, {Verb: "create", Resource: "serviceaccounts", Subresource: "token"}}
	}
	var list []authorization.Request
	for _, rule := range g.Rules {
		for _, verb := range strings.Fields(rule.Verbs) {
			for _, path := range strings.Fields(rule.Paths) {
				list = append(list, authorization.Request{Verb: verb, Path: path})
			}
			for _, resource := range strings.Fields(rule.Resources) {
				r := authorization.Request{Verb: verb, Group: strings.Split(rule.Group+" ", " ")[0], Name: rule.Names}
				r.Resource, r.Subresource, _ = strings.Cut(resource, "/")
				list = append(list, r)
			}
		}
	}
	return list
}

// TestGrants tests that every grant is complete, and excuses what it gives and nothing else.
func TestGrants(t *testing.T) {
	table := newTable(t)
	for _, g := range Grants() {
		if g.Distribution == "" || g.Binding == "" || g.Role == "" || g.To == "" || g.Effect == "" || g.Source == "" || g.SourceAt == "" ||
			g.FullNode == (len(g.Rules) > 0) {
			t.Errorf("%s %s is not complete: %+v", g.Distribution, g.Binding, g)
		}
		for _, r := range requests(&g) {
			if found := Find(table, match(&g), &r); found == nil || found.Binding != g.Binding {
				t.Errorf("%s %s: %s is not known", g.Distribution, g.Binding, r.String())
			}
			for what, change := range map[string]func(*rbac.Grant){
				"binding": func(m *rbac.Grant) { m.Binding += "-other" },
				"role":    func(m *rbac.Grant) { m.Role += "-other" },
				"subject": func(m *rbac.Grant) { m.Subject.Name = "others" },
				"kind":    func(m *rbac.Grant) { m.BindingKind = "Other" },
			} {
				changed := *match(&g)
				change(&changed)
				if found := Find(table, &changed, &r); found != nil {
					t.Errorf("%s %s with another %s excuses %s", g.Distribution, g.Binding, what, r.String())
				}
			}
		}
		for _, r := range []authorization.Request{
			{Verb: "delete", Resource: "secrets"},
			{Verb: "*", Group: "*", Resource: "*"},
			{Verb: "get", Resource: "pods", Subresource: "exec"},
			{Verb: "get", Path: "/metrics"},
			{Verb: "get", Path: "/apisx"},
			{Verb: "update", Resource: "configmaps", Name: "kubelet-config"},
		} {
			if Find(table, match(&g), &r) != nil {
				t.Errorf("%s %s excuses %s", g.Distribution, g.Binding, r.String())
			}
		}
	}
}
