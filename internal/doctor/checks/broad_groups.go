// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

func broadGroups() Check {
	return Check{
		ID: "broad-groups", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Do groups that everybody or every kubelet is in have only what Kubernetes and the distribution give them?",
		Gain: "has these permissions with any kubelet's credential, with any token, or with none",
		How: "It reads each binding of system:nodes, system:authenticated, system:unauthenticated, system:serviceaccounts," +
			" system:bootstrappers and" +
			" their like, and compares each rule with what Kubernetes bootstraps and with the catalogue of distributions. Names of roles and" +
			" bindings do not count. What is dangerous is bad; what is not, and what a distribution is known for, is weak.",
		Needs: rbacNeeds(), run: runBroadGroups,
	}
}

// maxRequests is how many requests of one rule are looked at.
const maxRequests = 4096

func runBroadGroups(s *Snapshot, f *Finding) {
	e, ok := s.evaluator(f)
	if !ok {
		return
	}
	table, ok := s.table(f)
	if !ok {
		return
	}
	for _, h := range e.Holdings(func(string, *rbacv1.PolicyRule) bool { return true }) {
		var subjects []int
		for i := range h.Subjects {
			if kindOf(&h.Subjects[i], h.BindingNamespace) == crowd && h.Subjects[i].Kind != rbacv1.ServiceAccountKind {
				subjects = append(subjects, i)
			}
		}
		if len(subjects) > 0 {
			f.judgeBroad(&h, subjects, table)
		}
	}
}

// judgeBroad compares what a binding gives to some subjects with what is known.
func (f *Finding) judgeBroad(h *rbac.Holding, subjects []int, table *nodeauthorizer.Table) {
	rules := h.Rules()
	var beyond []int
	var names []string
	var worst nodeauthorizer.Danger
	var what, why string
	var distributions []string
	onlyKnown := true
	for _, i := range subjects {
		found := false
		for n := range rules {
			requests, _ := h.Requests(&rules[n], maxRequests)
			for r := range requests {
				k := familiarity(h, &h.Subjects[i], &requests[r], table)
				if k.harmless {
					continue
				}
				if k.from != "" && !slices.Contains(distributions, k.from) {
					distributions = append(distributions, k.from)
				}
				danger, does := nodeauthorizer.Risk(&requests[r])
				known := k.from != ""
				// What nobody is known for counts before what a distribution is known for.
				if what == "" || onlyKnown && !known || onlyKnown == known && danger > worst {
					worst, why, what = danger, does, requests[r].String()
				}
				onlyKnown = onlyKnown && known
				found = true
			}
		}
		if found {
			beyond = append(beyond, i)
			names = append(names, subjectName(&h.Subjects[i], h.BindingNamespace))
		}
	}
	if len(beyond) == 0 {
		return
	}
	add, says := f.bad, ""
	switch {
	case onlyKnown:
		add, says = f.weak, "; known from "+enumerate(distributions)+", whose agents may need it"
	case worst < nodeauthorizer.High:
		add = f.weak
	}
	add(bindingName(&h.Grant), subjectsField(beyond), unbind(h, beyond), "gives %s %s %s, such as %s: anyone who has it %s%s",
		enumerate(names),
		h.RoleKind, text.Quote(h.Role), text.Quote(what), cmp.Or(why, "does more than intended"), says)
}
