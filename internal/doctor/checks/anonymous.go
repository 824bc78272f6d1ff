// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"net/http"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/knowngrants"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

func anonymous() Check {
	return Check{
		ID: "anonymous", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Do requests without a credential reach only health, version and cluster-info?",
		Gain: "calls the API server without any credential",
		How: "It sends GET /api without a credential: 401 means that anonymous requests are off, 403 that RBAC refuses them, 200 that they are" +
			" allowed. It reads what RBAC gives to system:anonymous and system:unauthenticated.",
		Needs: rbacNeeds(), run: runAnonymous,
	}
}

func runAnonymous(s *Snapshot, f *Finding) {
	code, ok := known(s, f, &s.Anonymous)
	if ok {
		switch code {
		case http.StatusUnauthorized:
			f.note("anonymous requests are off for /api")
		case http.StatusForbidden:
			f.note("anonymous requests are on, and refused for /api")
		case http.StatusOK:
			f.bad("kube-apiserver", "GET /api", Fix{
				Note: "remove the binding that is shown; if none is, see authz-always-allow",
			}, "it answers GET /api without a credential")
		default:
			f.cannot("GET /api without a credential is answered with %d", code)
		}
	}
	e, ok := s.evaluator(f)
	if !ok {
		return
	}
	// Without a credential a client has this user and this group.
	id := authorization.Identity{User: anonymousUser, Groups: []string{unauthenticatedGroup}}
	granted := e.Grants(id)
	table, ok := s.table(f)
	if !ok {
		return
	}
	for i := range granted.List {
		g := &granted.List[i]
		example, count := beyondHealth(g, table)
		if count == 0 {
			continue
		}
		h := rbac.Holding{Grant: *g, Subjects: s.subjects(g)}
		var subjects []int
		for n := range h.Subjects {
			if h.Subjects[n].Name == anonymousUser || h.Subjects[n].Name == unauthenticatedGroup {
				subjects = append(subjects, n)
			}
		}
		f.bad(bindingName(g), subjectsField(subjects), unbind(&h, subjects), "gives everybody without a credential %s %s, such as %s", g.RoleKind,
			text.Quote(g.Role), text.Quote(example))
	}
}

// beyondHealth returns an example of what a grant gives to strangers beyond what Kubernetes and kubeadm do, and how many there are.
func beyondHealth(g *rbac.Grant, table *nodeauthorizer.Table) (example string, count int) {
	rules := g.Rules()
	for n := range rules {
		requests, _ := g.Requests(&rules[n], maxRequests)
		for r := range requests {
			known := false
			for _, name := range []string{anonymousUser, unauthenticatedGroup} {
				to := *g
				to.Subject.Name = name
				known = known || knowngrants.Find(table, &to, &requests[r]) != nil
			}
			if known {
				continue
			}
			if count++; count == 1 {
				example = requests[r].String()
			}
		}
	}
	return example, count
}
