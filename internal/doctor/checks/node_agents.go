// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"cmp"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

func nodeAgents() Check {
	return Check{
		ID: "node-agents", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Can the agents that run on every node do no more there than a kubelet?",
		Gain: "takes the token of an agent from the node, and does in the whole cluster what the kubelet may not",
		How: "It reads the service account of each DaemonSet that runs on other nodes than those of the control plane, and asks RBAC for" +
			" Secrets," +
			" tokens, exec, workloads, RBAC and webhooks of the whole cluster, which is bad, and for writes of Nodes and pods, which is weak.",
		Needs: rbacNeeds(authorization.Request{Verb: "list", Group: "apps", Resource: "daemonsets"}), run: runNodeAgents,
	}
}

// agentPower is what an agent should not have.
type agentPower struct {
	request authorization.Request
	weak    bool
}

func agentPowers() []agentPower {
	return []agentPower{
		{authorization.Request{Verb: "list", Resource: "secrets"}, false},
		{authorization.Request{Verb: "get", Resource: "secrets"}, false},
		{authorization.Request{Verb: "create", Resource: "serviceaccounts", Subresource: "token"}, false},
		{authorization.Request{Verb: "create", Resource: "pods", Subresource: "exec"}, false},
		{authorization.Request{Verb: "get", Resource: "nodes", Subresource: "proxy"}, false},
		{authorization.Request{Verb: "create", Resource: "pods"}, false},
		{authorization.Request{Verb: "create", Group: "apps", Resource: "daemonsets"}, false},
		{authorization.Request{Verb: "patch", Group: "apps", Resource: "deployments"}, false},
		{authorization.Request{Verb: "impersonate", Resource: "users"}, false},
		{authorization.Request{Verb: "create", Group: rbacv1.GroupName, Resource: "clusterrolebindings"}, false},
		{authorization.Request{Verb: "escalate", Group: rbacv1.GroupName, Resource: "clusterroles"}, false},
		{authorization.Request{Verb: "update", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations"}, false},
		{authorization.Request{Verb: "create", Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations"}, false},
		{authorization.Request{Verb: "patch", Resource: "pods"}, false},
		{authorization.Request{Verb: "delete", Resource: "pods"}, true},
		{authorization.Request{Verb: "create", Resource: "pods", Subresource: "eviction"}, true},
		{authorization.Request{Verb: "patch", Resource: "nodes"}, true},
		{authorization.Request{Verb: "update", Resource: "nodes"}, true},
		{authorization.Request{Verb: "patch", Resource: "nodes", Subresource: "status"}, true},
		{authorization.Request{Verb: "delete", Resource: "nodes"}, true},
	}
}

func runNodeAgents(s *Snapshot, f *Finding) {
	sets, ok := known(s, f, &s.DaemonSets)
	if !ok {
		return
	}
	e, ok := s.evaluator(f)
	if !ok {
		return
	}
	seen := map[string]bool{}
	for i := range sets {
		d := &sets[i]
		if onControlPlane(&d.Spec.Template.Spec) {
			continue
		}
		name := cmp.Or(d.Spec.Template.Spec.ServiceAccountName, "default")
		user := "system:serviceaccount:" + d.Namespace + ":" + name
		if seen[user] {
			continue
		}
		seen[user] = true
		// Its own grants: what all service accounts have is for the check broad-groups.
		f.judgeAgent(s, d.Namespace+"/"+d.Name, e.Grants(authorization.Identity{User: user}))
	}
}

// judgeAgent adds evidence for each binding that gives an agent too much.
func (f *Finding) judgeAgent(s *Snapshot, name string, grants *rbac.Grants) {
	type excess struct {
		match rbac.Match
		does  []string
		bad   bool
	}
	var order []string
	found := map[string]*excess{}
	for _, p := range agentPowers() {
		matches, _ := grants.Matches(&p.request, maxEvidence)
		for _, m := range matches {
			key := bindingName(m.Grant)
			x := found[key]
			if x == nil {
				x = &excess{match: m}
				found[key] = x
				order = append(order, key)
			}
			x.does = append(x.does, p.request.String())
			x.bad = x.bad || !p.weak
		}
	}
	for _, key := range order {
		x := found[key]
		fix := s.unbindMatch(&x.match)
		fix.Note = "if the agent needs it, give it a role without these permissions, or only in its namespace"
		add := f.weak
		if x.bad {
			add = f.bad
		}
		add(key, subjectsField([]int{x.match.SubjectIndex}), fix, "every node that runs DaemonSet %s has a token that may %s, by %s %s",
			text.Quote(name), enumerate(x.does), x.match.RoleKind, text.Quote(x.match.Role))
	}
}
