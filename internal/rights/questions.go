// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"strings"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
)

// questionList collects questions, each once.
type questionList struct {
	list  []question
	asked map[authorization.Request]bool
	broad map[[4]string]bool // verb, group, resource and subresource of cells
}

// has reports whether a request is asked, or a cell asks more precisely.
func (l *questionList) has(r authorization.Request) bool {
	return l.asked[r] || r.Namespace == "" && r.Name == "" && r.Path == "" && l.broad[[4]string{r.Verb, r.Group, r.Resource, r.Subresource}]
}

func (l *questionList) add(r authorization.Request) {
	l.asked[r] = true
	l.list = append(l.list, question{request: r})
}

// questions returns what is worth asking: the cells of the table, and beyond them what the rules of RBAC are about and what the API server
// serves. It reports whether these are all.
func (a *analysis) questions(names *nodeauthorizer.Names) (list []question, all bool) {
	l := &questionList{asked: map[authorization.Request]bool{}, broad: map[[4]string]bool{}}
	cells := a.table.Cells()
	for i := range cells {
		c := &cells[i]
		request, ok := c.Request(names)
		l.list = append(l.list, question{request: request, cell: c, untried: !ok})
		l.asked[request] = l.asked[request] || ok
		l.broad[[4]string{c.Verb, c.Group, c.Resource, c.Subresource}] = true
	}
	all = a.addCandidates(l)
	for _, r := range a.served {
		if !l.has(r) {
			l.add(r)
		}
	}
	return l.list, all
}

// addCandidates adds what the rules of RBAC are about, and reports whether it is all.
func (a *analysis) addCandidates(l *questionList) (all bool) {
	if a.candidates == nil {
		return true
	}
	all = true
	cellCount := len(l.list)
	elsewhere := map[string]int{} // index of the question with the same rule in another namespace
	rules := map[string]bool{}
	for i := range a.candidates.List {
		g := &a.candidates.List[i]
		// Most RoleBindings of a large cluster bind the same role in other namespaces.
		key := strings.Join([]string{g.RoleKind, g.Role, g.BindingKind}, "\x00")
		if g.RoleKind == rbac.ClusterRole && rules[key] {
			if n, found := elsewhere[key]; found && g.BindingNamespace != "" {
				l.list[n].namespaces++
			}
			continue
		}
		rules[key] = true
		for n := range g.Rules() {
			requests, whole := g.Requests(&g.Rules()[n], maxPerRule)
			all = all && whole
			for _, r := range requests {
				if l.has(r) {
					continue
				}
				if len(l.list) >= cellCount+maxCandidates {
					return false
				}
				if _, found := elsewhere[key]; !found {
					elsewhere[key] = len(l.list)
				}
				l.add(r)
			}
		}
	}
	return all
}
