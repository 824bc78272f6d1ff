// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

func systemNodeBound() Check {
	return Check{
		ID: "system-node-bound", Severity: nodeauthorizer.Critical, Worst: Bad,
		Asks: "Is the ClusterRole system:node, or a copy of it, bound to nobody?",
		Gain: "reads every Secret and gets tokens of every service account, as if there were no Node authorizer",
		How: "It looks for bindings of a role that may get Secrets, create tokens of service accounts and write the status of Nodes," +
			" whatever the role is called, without being a role for everything. AKS, kubespray and Typhoon bind it.",
		Needs: rbacNeeds(), run: runSystemNodeBound,
	}
}

func runSystemNodeBound(s *Snapshot, f *Finding) {
	e, ok := s.evaluator(f)
	if !ok {
		return
	}
	// The permissions of a kubelet that lead to others.
	signature := []authorization.Request{
		{Verb: "get", Resource: "secrets"},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
		{Verb: "patch", Resource: "nodes", Subresource: "status"},
	}
	everything := authorization.Request{Verb: "*", Group: "*", Resource: "*"}
	for _, h := range e.Holdings(allows(signature[0])) {
		rules := h.Rules()
		has := func(r authorization.Request) bool {
			return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool { return rbac.RuleAllows(&rule, &r) })
		}
		if has(everything) || !has(signature[1]) || !has(signature[2]) {
			continue
		}
		var subjects []int
		var names []string
		for i := range h.Subjects {
			if kindOf(&h.Subjects[i], "") != controller {
				subjects = append(subjects, i)
				names = append(names, subjectName(&h.Subjects[i], ""))
			}
		}
		if len(subjects) == 0 {
			continue
		}
		fix := unbind(&h, subjects)
		fix.Note = "kubelets with the user system:node:<name> and the group system:nodes do not need it; " +
			"an agent that does gets a binding of its own: kubectl nrp rights NODE --audit-log FILE"
		f.bad(bindingName(&h.Grant), subjectsField(subjects), fix, "gives %s %s to %s%s", h.RoleKind, text.Quote(h.Role), enumerate(names),
			isFrom(&h))
	}
}
