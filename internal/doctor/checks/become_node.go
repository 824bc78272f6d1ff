// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/rbac"
)

func becomeNode() Check {
	return Check{
		ID: "become-node", Severity: nodeauthorizer.Critical, Worst: Bad,
		Asks: "Can only administrators impersonate kubelets?",
		Gain: "acts as the kubelet of any node, and reads the Secrets of its pods",
		How: "It reads who may impersonate a user whose name begins with system:node: and the group system:nodes, or has the verbs" +
			" impersonate:arbitrary-node or impersonate:associated-node. The probe of this product, which may impersonate one node that" +
			" does not exist, does not count.",
		Needs: rbacNeeds(), run: runBecomeNode,
	}
}

// named reports whether a rule is about all objects, or one whose name is wanted.
func named(rule *rbacv1.PolicyRule, wanted func(string) bool) bool {
	return len(rule.ResourceNames) == 0 || slices.ContainsFunc(rule.ResourceNames, wanted)
}

func covers(rule *rbacv1.PolicyRule, group, resource string, verbs ...string) bool {
	return slices.ContainsFunc(verbs, func(verb string) bool {
		r := authorization.Request{Verb: verb, Group: group, Resource: resource}
		if len(rule.ResourceNames) > 0 {
			r.Name = rule.ResourceNames[0]
		}
		return rbac.RuleAllows(rule, &r)
	})
}

func runBecomeNode(s *Snapshot, f *Finding) {
	e, ok := s.evaluator(f)
	if !ok {
		return
	}
	// Neither is a node: the names of our probes end as no node's does, or are documented as taken.
	notOurs := func(name string) bool {
		node := strings.TrimPrefix(name, authorization.NodeUserPrefix)
		return node != program.Name+"-probe" && node != ProbeNode
	}
	isNode := func(name string) bool { return strings.HasPrefix(name, authorization.NodeUserPrefix) && notOurs(name) }
	user := func(namespace string, rule *rbacv1.PolicyRule) bool {
		return namespace == "" && covers(rule, "", "users", "impersonate") && named(rule, isNode)
	}
	group := func(namespace string, rule *rbacv1.PolicyRule) bool {
		return namespace == "" && covers(rule, "", "groups", "impersonate") &&
			named(rule, func(name string) bool { return name == authorization.NodesGroup })
	}
	constrained := func(namespace string, rule *rbacv1.PolicyRule) bool {
		return namespace == "" && covers(rule, "authentication.k8s.io", "nodes", "impersonate:arbitrary-node", "impersonate:associated-node") &&
			named(rule, notOurs)
	}
	type condition = func(string, *rbacv1.PolicyRule) bool
	f.who(s, e, &power{does: "may impersonate kubelets", rules: []condition{user, group}})
	// Anyone who may do both by one rule is already listed.
	f.who(s, e, &power{does: "may impersonate kubelets by constrained impersonation", rules: []condition{
		func(namespace string, rule *rbacv1.PolicyRule) bool {
			return constrained(namespace, rule) && !user(namespace, rule)
		},
	}})
}
