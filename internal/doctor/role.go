// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/doctor/checks"
)

// Role returns the ClusterRole with the least permissions for what the options ask for.
func Role(o *Options) *rbacv1.ClusterRole {
	role := &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: UserAgent},
	}
	for _, c := range checks.All() {
		if slices.Contains(o.Skip, c.ID) || optional(c.ID, o) {
			continue
		}
		for i := range c.Needs {
			role.Rules = addRule(role.Rules, &c.Needs[i])
		}
	}
	return role
}

// optional reports whether a check is not asked for.
func optional(id string, o *Options) bool {
	switch id {
	case "kubelet-live":
		return o.Kubelets == 0
	case "node-restriction", "node-restriction-by-us":
		return !o.Probe
	case "bootstrap-tokens":
		return !o.Secrets
	}
	return false
}

// addRule adds a permission, to a rule of the same kind if there is one.
func addRule(rules []rbacv1.PolicyRule, r *authorization.Request) []rbacv1.PolicyRule {
	if r.Path != "" {
		return append(rules, rbacv1.PolicyRule{Verbs: []string{r.Verb}, NonResourceURLs: []string{r.Path}})
	}
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	rule := rbacv1.PolicyRule{Verbs: []string{r.Verb}, APIGroups: []string{r.Group}, Resources: []string{resource}}
	if r.Name != "" {
		rule.ResourceNames = []string{r.Name}
	}
	for i := range rules {
		has := &rules[i]
		if !slices.Equal(has.Verbs, rule.Verbs) || !slices.Equal(has.APIGroups, rule.APIGroups) || !slices.Equal(has.ResourceNames,
			rule.ResourceNames) {
			continue
		}
		if !slices.Contains(has.Resources, resource) {
			has.Resources = append(has.Resources, resource)
		}
		return rules
	}
	return append(rules, rule)
}
