// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"fmt"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/authorization"
)

func rule(verbs, groups, resources []string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: groups, Resources: resources, ResourceNames: names}
}

func clusterRole(name string, labels map[string]string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Rules: rules}
}

func aggregated(name string, labels map[string]string, wants map[string]string) rbacv1.ClusterRole {
	r := clusterRole(name, labels)
	r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: wants}}}
	return r
}

func bind(namespace, name, roleKind, role string, subjects ...rbacv1.Subject) rbacv1.RoleBinding {
	return rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, RoleRef: rbacv1.RoleRef{Kind: roleKind, Name: role}, Subjects: subjects,
	}
}

func nodes() rbacv1.Subject { return rbacv1.Subject{Kind: "Group", Name: "system:nodes"} }

func TestMatches(t *testing.T) {
	one := []string{""}
	get := func(resource, subresource, namespace, name string) authorization.Request {
		return authorization.Request{Verb: "get", Resource: resource, Subresource: subresource, Namespace: namespace, Name: name}
	}
	for _, test := range []struct {
		name    string
		rule    rbacv1.PolicyRule
		request authorization.Request
		want    bool
	}{
		{"the resource", rule([]string{"get"}, one, []string{"pods"}), get("pods", "", "x", "y"), true},
		{"another verb", rule([]string{"list"}, one, []string{"pods"}), get("pods", "", "x", "y"), false},
		{"another group", rule([]string{"get"}, []string{"apps"}, []string{"pods"}), get("pods", "", "x", "y"), false},
		{"a resource does not give its subresources", rule([]string{"get"}, one, []string{"pods"}), get("pods", "log", "x", "y"), false},
		{"a subresource does not give its resource", rule([]string{"get"}, one, []string{"pods/log"}), get("pods", "", "x", "y"), false},
		{"a subresource of any resource", rule([]string{"get"}, one, []string{"*/log"}), get("pods", "log", "x", "y"), true},
		{"every resource gives subresources", rule([]string{"*"}, []string{"*"}, []string{"*"}), get("pods", "log", "x", "y"), true},
		{"pods/* is no pattern", rule([]string{"get"}, one, []string{"pods/*"}), get("pods", "log", "x", "y"), false},
		{"the name", rule([]string{"get"}, one, []string{"pods"}, "y"), get("pods", "", "x", "y"), true},
		{"another name", rule([]string{"get"}, one, []string{"pods"}, "z"), get("pods", "", "x", "y"), false},
		{"no name in the request", rule([]string{"get"}, one, []string{"pods"}, "z"), get("pods", "", "x", ""), false},
		{"a path", rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}, authorization.Request{Verb: "get", Path: "/metrics"}, true},
		{"a path below another", rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}, authorization.Request{Verb: "get", Path: "/metrics/slis"}, false},
		{"a pattern of paths", rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/debug/*"}}, authorization.Request{Verb: "get", Path: "/debug/pprof"}, true},
		{"every path", rbacv1.PolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}, authorization.Request{Verb: "put", Path: "/debug"}, true},
		{"a star within a path is no pattern", rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/a/*/b"}}, authorization.Request{Verb: "get", Path: "/a/x/b"}, false},
		{"every resource gives no path", rule([]string{"*"}, []string{"*"}, []string{"*"}), authorization.Request{Verb: "get", Path: "/metrics"}, false},
		{"only a star gives a star", rule([]string{"get", "list"}, one, []string{"pods"}), authorization.Request{Verb: "*", Resource: "pods"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &Snapshot{
				ClusterRoles:        []rbacv1.ClusterRole{clusterRole("r", nil, test.rule)},
				ClusterRoleBindings: []rbacv1.ClusterRoleBinding{rbacv1.ClusterRoleBinding(bind("", "b", ClusterRole, "r", nodes()))},
			}
			id := authorization.Kubelet("n")
			if _, count := New(s).Grants(id).Matches(&test.request, 1); (count == 1) != test.want {
				t.Errorf("%s: %d grants, want %t", test.request.String(), count, test.want)
			}
			if got := New(s).Allows(id, &test.request); got != test.want {
				t.Errorf("Allows: %t, want %t", got, test.want)
			}
		})
	}
}

func TestSubjects(t *testing.T) {
	for _, test := range []struct {
		name    string
		subject rbacv1.Subject
		user    string
		want    bool
	}{
		{"the user", rbacv1.Subject{Kind: "User", Name: "system:node:n"}, "system:node:n", true},
		{"another user", rbacv1.Subject{Kind: "User", Name: "system:node:m"}, "system:node:n", false},
		{"a group", nodes(), "system:node:n", true},
		{"a group is no user", rbacv1.Subject{Kind: "Group", Name: "system:node:n"}, "system:node:n", false},
		{"a service account", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "a", Name: "b"}, "system:serviceaccount:a:b", true},
		{"a service account of the binding's namespace", rbacv1.Subject{Kind: "ServiceAccount", Name: "b"}, "system:serviceaccount:space:b", true},
		{"another service account", rbacv1.Subject{Kind: "ServiceAccount", Name: "b"}, "system:serviceaccount:a:b", false},
		{"a kind that does not exist", rbacv1.Subject{Kind: "Node", Name: "n"}, "system:node:n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := New(&Snapshot{
				Roles:        []rbacv1.Role{{ObjectMeta: metav1.ObjectMeta{Namespace: "space", Name: "r"}, Rules: []rbacv1.PolicyRule{rule([]string{"get"}, []string{""}, []string{"pods"})}}},
				RoleBindings: []rbacv1.RoleBinding{bind("space", "b", Role, "r", rbacv1.Subject{Kind: "User", Name: "nobody"}, test.subject)},
			})
			id := authorization.Identity{User: test.user, Groups: []string{"system:nodes"}}
			grants := e.Grants(id)
			if got := len(grants.List) == 1; got != test.want || got && grants.List[0].SubjectIndex != 1 {
				t.Errorf("grants %+v, want one: %t", grants.List, test.want)
			}
			if e.Allows(id, &authorization.Request{Verb: "get", Resource: "pods", Namespace: "space"}) != test.want {
				t.Errorf("Allows differs")
			}
			if e.Allows(id, &authorization.Request{Verb: "get", Resource: "pods", Namespace: "other"}) || e.Allows(id, &authorization.Request{Verb: "get", Resource: "pods"}) {
				t.Errorf("a RoleBinding allows something outside of its namespace")
			}
		})
	}
}

// TestAggregation tests that each rule of an aggregated ClusterRole is traced to its part, whether the API server has filled in the
// rules or not, and that ClusterRoles that aggregate each other end.
func TestAggregation(t *testing.T) {
	part := map[string]string{"part": "true"}
	secrets := rule([]string{"list"}, []string{""}, []string{"secrets"})
	for _, stored := range []bool{false, true} {
		whole := aggregated("whole", map[string]string{"outer": "true"}, part)
		if stored {
			whole.Rules = []rbacv1.PolicyRule{rule([]string{"get"}, []string{""}, []string{"pods"}), secrets}
		}
		e := New(&Snapshot{
			ClusterRoles: []rbacv1.ClusterRole{
				aggregated("outermost", part, map[string]string{"outer": "true"}), whole,
				clusterRole("b-part", part, secrets), clusterRole("unrelated", map[string]string{"part": "false"}, rule([]string{"*"}, []string{"*"}, []string{"*"})),
			},
			ClusterRoleBindings: []rbacv1.ClusterRoleBinding{rbacv1.ClusterRoleBinding(bind("", "b", ClusterRole, "whole", nodes()))},
		})
		matches, count := e.Grants(authorization.Kubelet("n")).Matches(&authorization.Request{Verb: "list", Resource: "secrets"}, 10)
		if count != 1 || matches[0].AggregatedFrom(matches[0].Rule) != "b-part" {
			t.Errorf("rules stored: %t: %d matches %+v, want one from b-part", stored, count, matches)
		}
		if _, count := e.Grants(authorization.Kubelet("n")).Matches(&authorization.Request{Verb: "delete", Resource: "pods"}, 10); count != 0 {
			t.Error("a ClusterRole with another label is aggregated")
		}
	}
}

func TestDanglingBindings(t *testing.T) {
	e := New(&Snapshot{
		Roles:        []rbacv1.Role{{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "r"}}},
		RoleBindings: []rbacv1.RoleBinding{bind("space", "b", Role, "r", nodes()), bind("space", "c", "Unknown", "r", nodes())},
	})
	grants := e.Grants(authorization.Kubelet("n"))
	want := []Dangling{{RoleBinding, "space", "b", Role, "r"}, {RoleBinding, "space", "c", "Unknown", "r"}}
	if len(grants.List) != 0 || !slices.Equal(grants.Dangling, want) {
		t.Errorf("grants %+v, dangling %+v, want %+v", grants.List, grants.Dangling, want)
	}
}

func TestRequests(t *testing.T) {
	g := &Grant{BindingKind: RoleBinding, BindingNamespace: "x"}
	r := rule([]string{"get", "*"}, []string{"", "apps"}, []string{"pods/log", "*/scale"}, "a", "b")
	r.NonResourceURLs = []string{"/ignored"} // in a namespace
	requests, all := g.Requests(&r, 100)
	if !all || len(requests) != 16 || requests[2] != (authorization.Request{Verb: "get", Resource: "*", Subresource: "scale", Namespace: "x", Name: "a"}) {
		t.Errorf("%d requests, all %t: %+v", len(requests), all, requests)
	}
	for _, request := range requests {
		if !RuleAllows(&r, &request) {
			t.Errorf("the rule does not allow %s", request.String())
		}
	}
	if requests, all = g.Requests(&r, 3); all || len(requests) != 3 {
		t.Errorf("%d requests, all %t, want 3 of more", len(requests), all)
	}
}

// TestManyBindings tests that as many bindings as a large cluster has cost neither time nor memory for each request.
func TestManyBindings(t *testing.T) {
	s := &Snapshot{}
	for i := range 10_000 {
		namespace := fmt.Sprintf("space-%d", i)
		s.RoleBindings = append(s.RoleBindings, bind(namespace, "b", ClusterRole, "r", nodes()))
	}
	s.ClusterRoles = []rbacv1.ClusterRole{clusterRole("r", nil, rule([]string{"get"}, []string{""}, []string{"pods"}))}
	for i := range 100 {
		s.ClusterRoleBindings = append(s.ClusterRoleBindings, rbacv1.ClusterRoleBinding(bind("", fmt.Sprint("c", i), ClusterRole, "r", nodes())))
	}
	grants := New(s).Grants(authorization.Kubelet("n"))
	matches, count := grants.Matches(&authorization.Request{Verb: "get", Resource: "pods", Namespace: "space-7"}, 5)
	if len(grants.List) != 10_100 || len(matches) != 5 || count != 101 {
		t.Errorf("%d grants, %d matches of %d, want 10100, 5 of 101", len(grants.List), len(matches), count)
	}
}

func TestReadReason(t *testing.T) {
	for reason, want := range map[string]Grant{
		`RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "b" to Group "system:nodes"`: {
			BindingKind: ClusterRoleBinding, Binding: "a", RoleKind: ClusterRole, Role: "b", Subject: nodes(),
		},
		`RBAC: allowed by RoleBinding "a/kube-system" of Role "b" to User "system:node:n"`: {
			BindingKind: RoleBinding, BindingNamespace: "kube-system", Binding: "a", RoleKind: Role, Role: "b",
			Subject: rbacv1.Subject{Kind: "User", Name: "system:node:n"},
		},
		`RBAC: allowed by ClusterRoleBinding "a \"b\" of \\" of ClusterRole "c" to ServiceAccount "x/y"`: {
			BindingKind: ClusterRoleBinding, Binding: `a "b" of \`, RoleKind: ClusterRole, Role: "c",
			Subject: rbacv1.Subject{Kind: "ServiceAccount", Name: "x", Namespace: "y"},
		},
	} {
		if got, ok := ReadReason(reason); !ok || got != want {
			t.Errorf("%s: %+v, %t, want %+v", reason, got, ok, want)
		}
	}
	for _, reason := range []string{
		"", "RBAC: allowed by ", `RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "b" to Group "c" and more`,
		`RBAC: allowed by RoleBinding "a" of Role "b" to Group "c"`, `RBAC: allowed by Binding "a" of Role "b" to Group "c"`,
		`RBAC: allowed by ClusterRoleBinding "a`, `RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "\x" to Group "c"`,
	} {
		if got, ok := ReadReason(reason); ok {
			t.Errorf("%q is read as %+v", reason, got)
		}
	}
}

func TestOtherNodes(t *testing.T) {
	subject := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "cni", Name: "agent"}
	core, create := []string{""}, []string{"create"}
	for name, test := range map[string]struct {
		namespace string // of the binding; empty: a ClusterRoleBinding
		rule      rbacv1.PolicyRule
		want      []string
	}{
		"tokens of its own":            {"cni", rule(create, core, []string{"serviceaccounts/token"}, "agent"), []string{"create serviceaccounts/token cni/agent"}},
		"tokens of another account":    {"cni", rule(create, core, []string{"serviceaccounts/token"}, "other"), nil},
		"tokens of another namespace":  {"shop", rule(create, core, []string{"serviceaccounts/token"}), nil},
		"tokens of the whole cluster":  {"", rule(create, core, []string{"serviceaccounts/token"}), []string{"create serviceaccounts/token cni/agent"}},
		"commands in its pods":         {"cni", rule([]string{"get"}, core, []string{"pods/exec"}), []string{"get pods/exec in namespace cni"}},
		"DaemonSets":                   {"cni", rule(create, []string{"apps"}, []string{"daemonsets"}), []string{"create daemonsets.apps in namespace cni"}},
		"what it needs of its Node":    {"", rule([]string{"get", "patch"}, core, []string{"nodes", "nodes/status", "pods", "pods/status"}), nil},
		"pods, which pods.self limits": {"cni", rule(create, core, []string{"pods"}), []string{"create pods in namespace cni"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := &Snapshot{ClusterRoles: []rbacv1.ClusterRole{clusterRole("r", nil, test.rule)}}
			if test.namespace != "" {
				all.RoleBindings = []rbacv1.RoleBinding{bind(test.namespace, "b", "ClusterRole", "r", subject)}
			} else {
				all.ClusterRoleBindings = []rbacv1.ClusterRoleBinding{{
					ObjectMeta: metav1.ObjectMeta{Name: "b"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "r"}, Subjects: []rbacv1.Subject{subject},
				}}
			}
			var got []string
			for _, o := range New(all).Grants(authorization.Identity{User: "system:serviceaccount:cni:agent"}).OtherNodes("cni", "agent") {
				got = append(got, o.Request.String())
				if held := o.Request.Resource == "pods" && o.Request.Verb == "create"; o.HeldByPods() != held || o.Match.Binding != "b" {
					t.Errorf("%s: held by pods.self: %t, by %s", o.Request.String(), o.HeldByPods(), o.Match.Binding)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
