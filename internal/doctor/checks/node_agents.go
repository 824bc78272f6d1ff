// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

func nodeAgents() Check {
	return Check{
		ID: "node-agents", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Can the agents that run on nodes do no more there than a kubelet?",
		Gain: "takes the token of an agent from the node, and does in the whole cluster what the kubelet may not",
		How: "It reads the service account of each DaemonSet that runs on other nodes than those of the control plane, and asks RBAC for" +
			" Secrets, tokens, exec, workloads, RBAC and webhooks of the whole cluster, which is bad, and for writes of Nodes, pods and" +
			" ResourceSlices, which is weak unless a policy denies the writes of other nodes. It is also weak if such an agent gets a token" +
			" that names another node: by requesting tokens of its own, running commands in its pods, or starting some. What is bad for a" +
			" DaemonSet is weak for other pods with a token, which are on some of these nodes.",
		Needs: rbacNeeds(
			authorization.Request{Verb: "list", Group: "apps", Resource: "daemonsets"}, authorization.Request{Verb: "list", Resource: "pods"},
			authorization.Request{Verb: "list", Group: "noderestriction.plus", Resource: "noderestrictionpolicies"},
			authorization.Request{Verb: "list", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations"},
		),
		run: runNodeAgents,
	}
}

// agentPower is what an agent should not have.
type agentPower struct {
	request authorization.Request
	weak    bool
	// by is the section of a policy that leaves of it what is about the agent's own node; empty: none does.
	by section
}

// section is a section of a policy that holds node agents to their own node.
type section string

const (
	ownNodes   section = "nodes.self"
	ownPods    section = "pods.self"
	ownObjects section = "objects"
)

func agentPowers() []agentPower {
	return []agentPower{
		{request: authorization.Request{Verb: "list", Resource: "secrets"}},
		{request: authorization.Request{Verb: "get", Resource: "secrets"}},
		{request: authorization.Request{Verb: "create", Resource: "serviceaccounts", Subresource: "token"}},
		{request: authorization.Request{Verb: "create", Resource: "pods", Subresource: "exec"}},
		{request: authorization.Request{Verb: "get", Resource: "nodes", Subresource: "proxy"}},
		{request: authorization.Request{Verb: "create", Resource: "pods"}},
		{request: authorization.Request{Verb: "create", Group: "apps", Resource: "daemonsets"}},
		{request: authorization.Request{Verb: "patch", Group: "apps", Resource: "deployments"}},
		{request: authorization.Request{Verb: "impersonate", Resource: "users"}},
		{request: authorization.Request{Verb: "create", Group: rbacv1.GroupName, Resource: "clusterrolebindings"}},
		{request: authorization.Request{Verb: "escalate", Group: rbacv1.GroupName, Resource: "clusterroles"}},
		{request: authorization.Request{Verb: "update", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations"}},
		{request: authorization.Request{Verb: "create", Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations"}},
		{authorization.Request{Verb: "patch", Resource: "pods"}, false, ownPods},
		{authorization.Request{Verb: "update", Resource: "pods"}, false, ownPods},
		{authorization.Request{Verb: "patch", Resource: "pods", Subresource: "status"}, true, ownPods},
		{authorization.Request{Verb: "update", Resource: "pods", Subresource: "status"}, true, ownPods},
		{authorization.Request{Verb: "delete", Resource: "pods"}, true, ownPods},
		{authorization.Request{Verb: "create", Resource: "pods", Subresource: "eviction"}, true, ownPods},
		{authorization.Request{Verb: "patch", Resource: "nodes"}, true, ownNodes},
		{authorization.Request{Verb: "update", Resource: "nodes"}, true, ownNodes},
		{authorization.Request{Verb: "patch", Resource: "nodes", Subresource: "status"}, true, ownNodes},
		{authorization.Request{Verb: "update", Resource: "nodes", Subresource: "status"}, true, ownNodes},
		{authorization.Request{Verb: "delete", Resource: "nodes"}, true, ownNodes},
		{authorization.Request{Verb: "create", Group: "resource.k8s.io", Resource: "resourceslices"}, true, ownObjects},
		{authorization.Request{Verb: "delete", Group: "resource.k8s.io", Resource: "resourceslices"}, true, ownObjects},
	}
}

// carrier is what carries a token of a service account to nodes.
type carrier struct {
	account Account
	name    string // of the DaemonSet, or the pod
	every   bool   // it is a DaemonSet
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
	var carriers []carrier
	seen := map[Account]bool{}
	add := func(c carrier) {
		if !seen[c.account] {
			seen[c.account] = true
			carriers = append(carriers, c)
		}
	}
	for i := range sets {
		d := &sets[i]
		if !onControlPlane(&d.Spec.Template.Spec) {
			account := Account{d.Namespace, cmp.Or(d.Spec.Template.Spec.ServiceAccountName, "default")}
			add(carrier{account, "every node that runs DaemonSet " + text.Quote(d.Namespace+"/"+d.Name), true})
		}
	}
	if pods, ok := known(s, f, &s.Pods); ok {
		trusted := s.controlPlane()
		for i := range pods {
			p := &pods[i]
			if p.Token && p.Node != "" && !trusted[p.Node] && p.Owner != "DaemonSet" {
				name := "node " + text.Quote(p.Node) + ", by pod " + text.Quote(p.Namespace+"/"+p.Name) + ","
				add(carrier{Account{p.Namespace, p.Account}, name, false})
			}
		}
	}
	policies, _ := known(s, f, &s.Policies)
	held := s.holdersOf(f, policies)
	for _, c := range carriers {
		// Its own grants: what all service accounts have is for the check broad-groups.
		user := "system:serviceaccount:" + c.account.Namespace + ":" + c.account.Name
		f.agent(s, &c, e.Grants(authorization.Identity{User: user}), held[c.account])
	}
}

// controlPlane returns the nodes of the control plane, as far as Nodes are known.
func (s *Snapshot) controlPlane() map[string]bool {
	nodes := map[string]bool{}
	for i := range s.Nodes.Value {
		n := &s.Nodes.Value[i]
		for _, label := range []string{controlPlaneLabel, masterLabel} {
			if _, has := n.Labels[label]; has {
				nodes[n.Name] = true
			}
		}
	}
	return nodes
}

// excess is a binding that gives an agent too much.
type excess struct {
	match rbac.Match
	does  []string
	bad   bool
	holds bool // a policy could hold the agent to its own node
}

// agent adds evidence for each binding that gives an agent too much.
func (f *Finding) agent(s *Snapshot, c *carrier, grants *rbac.Grants, held *holders) {
	var order []string
	found := map[string]*excess{}
	denies := false
	for _, p := range agentPowers() {
		if p.weak && !c.every {
			continue
		}
		matches, _ := grants.Matches(&p.request, maxEvidence)
		if len(matches) > 0 && held.denies(p.by) {
			denies = true
			continue
		}
		for _, m := range matches {
			key := bindingName(m.Grant)
			x := found[key]
			if x == nil {
				x = &excess{match: m}
				found[key] = x
				order = append(order, key)
			}
			x.does = append(x.does, p.request.String())
			x.bad = x.bad || !p.weak && c.every
			x.holds = x.holds || p.by != ""
		}
	}
	for _, key := range order {
		f.excess(s, c, found[key], held)
	}
	if denies {
		f.note("policy %s denies what %s would write of other nodes", enumerate(held.denying), text.Quote(c.account.String()))
		f.otherNodes(s, c, grants, held, found)
	}
}

// otherNodes adds evidence for each binding by which an agent that a policy holds to its node gets a token that names another node, except
// for those that already have evidence.
func (f *Finding) otherNodes(s *Snapshot, c *carrier, grants *rbac.Grants, held *holders, found map[string]*excess) {
	var order []string
	by := map[string]*excess{}
	for _, o := range grants.OtherNodes(c.account.Namespace, c.account.Name) {
		key := bindingName(o.Match.Grant)
		if found[key] != nil || held.denies(ownPods) && o.HeldByPods() {
			continue
		}
		if by[key] == nil {
			by[key] = &excess{match: o.Match}
			order = append(order, key)
		}
		by[key].does = append(by[key].does, o.Request.String())
	}
	for _, key := range order {
		x := by[key]
		fix := s.unbindMatch(&x.match)
		fix.Note = "let only the control plane request tokens of agents, and start and enter their pods"
		f.weak(key, subjectsField([]int{x.match.SubjectIndex}), fix,
			"policy %s holds %s to its node, but it gets a token of its own that names another node, by %s", enumerate(held.denying),
			text.Quote(c.account.String()), enumerate(x.does))
	}
}

func (f *Finding) excess(s *Snapshot, c *carrier, x *excess, held *holders) {
	fix := s.unbindMatch(&x.match)
	fix.Note = "if the agent needs it, give it a role without these permissions, or only in its namespace"
	if !c.every {
		fix.Note = "if the pod needs it, keep it on nodes that you trust, such as those of the control plane"
	}
	if x.holds && c.every {
		fix.Note += "; what it writes of Nodes, pods and ResourceSlices can be held to its own node by a policy with subjects, see " +
			"docs/node-agents.md"
	}
	add := f.weak
	if x.bad {
		add = f.bad
	}
	but := ""
	if held != nil && x.holds {
		but = held.shortcomings()
	}
	add(bindingName(x.match.Grant), subjectsField([]int{x.match.SubjectIndex}), fix, "%s has a token that may %s, by %s %s%s",
		c.name, enumerate(x.does), x.match.RoleKind, text.Quote(x.match.Role), but)
}

const (
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
	masterLabel       = "node-role.kubernetes.io/master"
)

func onControlPlane(pod *corev1.PodSpec) bool {
	for label := range pod.NodeSelector {
		if label == controlPlaneLabel || label == masterLabel {
			return true
		}
	}
	return false
}

// userOf returns the user name of a service account.
func (a Account) user() string { return "system:serviceaccount:" + a.Namespace + ":" + a.Name }

// String returns the namespace and the name.
func (a Account) String() string { return a.Namespace + "/" + a.Name }

// sortedAccounts sorts accounts by namespace and name.
func sortedAccounts(all []Account) []Account {
	slices.SortFunc(all, func(a, b Account) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return all
}
