// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/review"
)

// Ways to get the permission to impersonate a kubelet.
const (
	// Constrained allows only the requests that the command sends, from Kubernetes 1.36 on.
	Constrained = "constrained"
	// Impersonate allows everything that the kubelet may do, on every version.
	Impersonate = "impersonate"
)

const (
	rbacGroup           = "rbac.authorization.k8s.io"
	authenticationGroup = "authentication.k8s.io"
)

// writeRBAC writes the ClusterRole with the least permissions for attacks as a node's kubelet.
func writeRBAC(w io.Writer, node, way string) error {
	role := Role(node, way)
	out, err := yaml.Marshal(role)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s", out)
	return err
}

// Role returns the ClusterRole with the least permissions for attacks as a node's kubelet.
func Role(node, way string) *rbacv1.ClusterRole {
	role := &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacGroup + "/v1", Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: UserAgent},
	}
	kubelet := review.UserOf(node)
	if way == Impersonate {
		for _, who := range []struct {
			resource string
			names    []string
		}{{"users", []string{kubelet.Username}}, {"groups", kubelet.Groups[:1]}} {
			role.Rules = append(role.Rules, rbacv1.PolicyRule{
				APIGroups: []string{""}, Resources: []string{who.resource}, ResourceNames: who.names, Verbs: []string{"impersonate"},
			})
		}
	} else {
		role.Rules = append(role.Rules, rbacv1.PolicyRule{
			APIGroups: []string{authenticationGroup}, Resources: []string{"nodes"}, ResourceNames: []string{node},
			Verbs: []string{"impersonate:arbitrary-node"},
		})
		role.Rules = append(role.Rules, rulesOf("impersonate-on:arbitrary-node:")...)
	}
	// As the user itself: another Node, a pod elsewhere, and the policies in force.
	role.Rules = append(role.Rules,
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"nodes", "pods"}, Verbs: []string{"list"}},
		rbacv1.PolicyRule{APIGroups: []string{"noderestriction.plus"}, Resources: []string{"noderestrictionpolicies"}, Verbs: []string{"list"}},
	)
	return role
}

// writeAgentRBAC writes the roles with the least permissions for attacks as a node agent.
func writeAgentRBAC(w io.Writer, node, account string) error {
	namespaced, cluster := AgentRoles(node, account)
	for i, role := range []any{namespaced, cluster} {
		out, err := yaml.Marshal(role)
		if err != nil {
			return err
		}
		if i > 0 {
			out = append([]byte("---\n"), out...)
		}
		if _, err := w.Write(out); err != nil {
			return err
		}
	}
	return nil
}

// AgentRoles returns the roles with the least permissions for attacks as a node agent. Constrained impersonation has no user with an extra,
// so that they allow everything that the agent may do. They do not allow to request its tokens.
func AgentRoles(node, account string) (*rbacv1.Role, *rbacv1.ClusterRole) {
	namespace, name, _ := strings.Cut(account, "/")
	impersonate := []string{Impersonate}
	namespaced := &rbacv1.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacGroup + "/v1", Kind: "Role"},
		ObjectMeta: metav1.ObjectMeta{Name: UserAgent, Namespace: namespace},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{name}, Verbs: impersonate},
		},
	}
	cluster := &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacGroup + "/v1", Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: UserAgent},
		Rules: []rbacv1.PolicyRule{
			{
				APIGroups: []string{authenticationGroup}, Resources: []string{"userextras/" + review.NodeNameExtra}, ResourceNames: []string{node},
				Verbs: impersonate,
			},
			// As the user itself: the Node and others, the pods, and the policies in force.
			{APIGroups: []string{""}, Resources: []string{"nodes", "pods"}, Verbs: []string{"get", "list"}},
			{APIGroups: []string{"noderestriction.plus"}, Resources: []string{"noderestrictionpolicies"}, Verbs: []string{"list"}},
		},
	}
	return namespaced, cluster
}

// read is the verb with which the command reads a resource as a kubelet: its own Node, and the pods there.
func read(resource string) string {
	if resource == "nodes" {
		return "get"
	}
	return "list"
}

// rulesOf returns a rule for each resource that the kubelet is sent to, from the list of the guard.
func rulesOf(prefix string) []rbacv1.PolicyRule {
	verbs := map[string][]string{}
	var resources []string
	for _, a := range allowed() {
		if a.resource == policiesResource {
			continue // read as the user
		}
		resource := a.resource
		if a.subresource != "" {
			plural, group, _ := strings.Cut(resource, ".")
			resource = strings.TrimSuffix(plural+"/"+a.subresource+"."+group, ".")
		}
		if verbs[resource] == nil {
			resources = append(resources, resource)
		}
		for _, verb := range map[string][]string{
			http.MethodGet: {read(a.resource)}, http.MethodPost: {"create"}, http.MethodPatch: {"patch"}, http.MethodDelete: {"delete"},
		}[a.method] {
			verbs[resource] = append(verbs[resource], prefix+verb)
		}
	}
	slices.SortStableFunc(resources, func(a, b string) int {
		_, groupA, _ := strings.Cut(a, ".")
		_, groupB, _ := strings.Cut(b, ".")
		return cmp.Compare(groupA, groupB)
	})
	var list []rbacv1.PolicyRule
	for _, resource := range resources {
		plural, group, _ := strings.Cut(resource, ".")
		list = append(list, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{plural}, Verbs: verbs[resource]})
	}
	return list
}
