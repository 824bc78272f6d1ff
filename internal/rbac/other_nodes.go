// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import "noderestriction.plus/internal/authorization"

// OtherNodes returns those permissions, among the grants of a service account, by which it gets a token of itself that names another node:
// it requests one, runs a command in one of its pods, or has a pod with its account started there. Each has the first grant that gives it.
func (g *Grants) OtherNodes(namespace, account string) []OtherNodeGrant {
	core := func(verb, resource, subresource, name string) authorization.Request {
		return authorization.Request{Verb: verb, Resource: resource, Subresource: subresource, Namespace: namespace, Name: name}
	}
	requests := []authorization.Request{
		core("create", "serviceaccounts", "token", account),
		core("create", "pods", "exec", ""),
		core("get", "pods", "exec", ""),
		core("patch", "pods", "ephemeralcontainers", ""),
		core("create", "pods", "", ""),
	}
	for _, workload := range []struct{ group, resource string }{
		{"apps", "daemonsets"},
		{"apps", "deployments"},
		{"apps", "replicasets"},
		{"apps", "statefulsets"},
		{"batch", "jobs"},
		{"batch", "cronjobs"},
		{"", "replicationcontrollers"},
	} {
		requests = append(requests, authorization.Request{
			Verb: "create", Group: workload.group, Resource: workload.resource, Namespace: namespace,
		})
	}
	var found []OtherNodeGrant
	for i := range requests {
		if matches, _ := g.Matches(&requests[i], 1); len(matches) > 0 {
			found = append(found, OtherNodeGrant{requests[i], matches[0]})
		}
	}
	return found
}

// OtherNodeGrant is a permission by which a service account gets a token of itself that names another node.
type OtherNodeGrant struct {
	Request authorization.Request
	Match   Match
}

// HeldByPods reports whether a policy with pods.self, which is for the account, leaves only the pods of its own node.
func (o *OtherNodeGrant) HeldByPods() bool {
	return o.Request.Resource == "pods" && o.Request.Subresource != "exec"
}
