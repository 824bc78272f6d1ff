// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

func TestHoldings(t *testing.T) {
	secrets, pods := rule([]string{"get"}, []string{""}, []string{"secrets"}), rule([]string{"get"}, []string{""}, []string{"pods"})
	user := rbacv1.Subject{Kind: rbacv1.UserKind, Name: "a"}
	e := New(&Snapshot{
		ClusterRoles: []rbacv1.ClusterRole{clusterRole("both", nil, pods, secrets), clusterRole("pods", nil, pods)},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{
			rbacv1.ClusterRoleBinding(bind("", "everywhere", ClusterRole, "both", user, nodes())),
			rbacv1.ClusterRoleBinding(bind("", "harmless", ClusterRole, "pods", user)),
			rbacv1.ClusterRoleBinding(bind("", "dangling", ClusterRole, "gone", user)),
		},
		RoleBindings: []rbacv1.RoleBinding{bind("a", "here", ClusterRole, "both", user), bind("b", "there", ClusterRole, "both", user)},
	})
	asked := map[string]int{}
	holdings := e.Holdings(func(namespace string, rule *rbacv1.PolicyRule) bool {
		asked[namespace]++
		return namespace != "b" && slices.Contains(rule.Resources, "secrets")
	})
	var found []string
	for _, h := range holdings {
		found = append(found, Name(h.BindingKind, h.BindingNamespace, h.Binding))
		if h.Rule != 1 || len(h.Rules()) != 2 {
			t.Errorf("%s: rule %d of %d, want 1 of 2", h.Binding, h.Rule, len(h.Rules()))
		}
	}
	if want := []string{"ClusterRoleBinding everywhere", "RoleBinding a/here"}; !slices.Equal(found, want) {
		t.Errorf("holdings %q, want %q", found, want)
	}
	if len(holdings[0].Subjects) != 2 {
		t.Errorf("subjects %v, want 2", holdings[0].Subjects)
	}
	if asked[""] != 3 || asked["a"] != 2 {
		t.Errorf("asked %v, want each rule of each role once a namespace", asked)
	}
}
