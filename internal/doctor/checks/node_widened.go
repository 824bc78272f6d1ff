// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/knowngrants"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

func nodeWidened() Check {
	return Check{
		ID: "node-widened", Severity: nodeauthorizer.Critical, Worst: Bad,
		Asks: "May a kubelet do only what the Node authorizer intends?",
		Gain: "does with one kubelet's credential what the Node authorizer would refuse",
		How: "It asks all authorizers about everything that the Node authorizer of this release refuses and that is more than harmless, for the" +
			" kubelet of the node and for one that does not exist. What is dangerous is bad, the rest is weak. The grants come from RBAC," +
			" or from the reason in the answer.",
		Needs: append([]authorization.Request{access()}, rbacNeeds()...), run: runNodeWidened,
	}
}

// widening is what one cause gives to kubelets.
type widening struct {
	says   [nodeauthorizer.Critical + 1][]string // by danger
	danger nodeauthorizer.Danger
	why    string
	node   string
	fix    Fix
	field  string
	// known is the distribution that is known for all of it; beyond says that some of it is not known.
	known  string
	beyond bool
}

func runNodeWidened(s *Snapshot, f *Finding) {
	answers, ok := known(s, f, &s.Answers)
	if !ok {
		return
	}
	if slices.ContainsFunc(answers, func(a Answer) bool { return a.Request == nonsense() && a.Allowed }) {
		f.bad("kube-apiserver", "--authorization-mode", Fix{Note: "see authz-always-allow"}, "every request of a kubelet is allowed")
		return
	}
	// Without RBAC the reasons name one cause of each answer, so this does not make the check unable to tell.
	permissions := &Finding{}
	e, all := s.evaluator(permissions)
	table, ok := s.table(f)
	if !ok {
		return
	}
	causes, grants := map[string]*widening{}, map[string]*rbac.Grants{}
	for i := range answers {
		a := &answers[i]
		if !a.Allowed || isNeeded(a) {
			continue
		}
		danger, why := nodeauthorizer.Risk(&a.Request)
		if danger < nodeauthorizer.Medium {
			continue
		}
		add := func(cause, field string, fix Fix, known string) {
			w := causes[cause]
			if w == nil {
				w = &widening{node: a.Node, fix: fix, field: field}
				causes[cause] = w
			}
			if says := withoutName(a.Request); !slices.Contains(w.says[danger], says) {
				w.says[danger] = append(w.says[danger], says)
			}
			if known == "" {
				w.beyond = true
			} else {
				w.known = known
			}
			if w.why == "" || danger > w.danger {
				w.danger, w.why = danger, why
			}
		}
		if all {
			if grants[a.Node] == nil {
				grants[a.Node] = e.Grants(authorization.Kubelet(a.Node))
			}
			matches, _ := grants[a.Node].Matches(&a.Request, maxEvidence)
			for _, m := range matches {
				add(bindingName(m.Grant), subjectsField([]int{m.SubjectIndex}), s.unbindMatch(&m), shippedBy(table, m.Grant, &a.Request))
			}
			if len(matches) > 0 {
				continue
			}
		}
		if g, ok := rbac.ReadReason(a.Reason); ok {
			add(bindingName(&g), "subjects", deletionOf(&g), "")
			continue
		}
		add("an authorizer other than Node and RBAC", text.Quote(a.Reason),
			Fix{Note: "look for it in --authorization-mode, --authorization-config or the ABAC policy file of kube-apiserver"}, "")
	}
	f.addWidenings(causes)
	if !all && len(causes) > 0 {
		f.Missing = append(f.Missing, permissions.Missing...)
		f.note("RBAC cannot be read, so further bindings may give the same")
	}
}

func (f *Finding) addWidenings(causes map[string]*widening) {
	names := make([]string, 0, len(causes))
	for name := range causes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(causes[b].danger, causes[a].danger), cmp.Compare(a, b))
	})
	for _, name := range names {
		w := causes[name]
		add := f.weak
		says := ""
		switch {
		case !w.beyond:
			says = "; " + w.known + " ships it, and its agents may need it"
		case w.danger >= nodeauthorizer.High:
			add = f.bad
		}
		who := "the kubelet of " + text.Quote(w.node)
		if w.node == ProbeNode {
			who = "every kubelet"
		}
		add(name, w.field, w.fix, "%s may %s, which the Node authorizer refuses; a kubelet then %s%s", who,
			enumerate(slices.Concat(w.says[3], w.says[2], w.says[1], w.says[0])), w.why, says)
	}
	if len(causes) > 0 {
		f.note("kubectl nrp rights shows each of them")
	}
}

// withoutName returns a request in words, without the name that stands for any.
func withoutName(r authorization.Request) string {
	if r.Name == unrelated || r.Name == ProbeOtherNode {
		r.Name, r.Namespace = "", ""
	}
	return r.String()
}

// unbindMatch returns the fix that removes the subject of a grant.
func (s *Snapshot) unbindMatch(m *rbac.Match) Fix {
	h := rbac.Holding{Grant: *m.Grant, Rule: m.Rule, Subjects: s.subjects(m.Grant)}
	if m.SubjectIndex >= len(h.Subjects) {
		return Fix{Note: "remove the subject"}
	}
	return unbind(&h, []int{m.SubjectIndex})
}

func (s *Snapshot) subjects(g *rbac.Grant) []rbacv1.Subject {
	if g.BindingKind == rbac.ClusterRoleBinding {
		for i := range s.ClusterRoleBindings.Value {
			if b := &s.ClusterRoleBindings.Value[i]; b.Name == g.Binding {
				return b.Subjects
			}
		}
	}
	for i := range s.RoleBindings.Value {
		if b := &s.RoleBindings.Value[i]; b.Name == g.Binding && b.Namespace == g.BindingNamespace {
			return b.Subjects
		}
	}
	return nil
}

// shippedBy returns the distribution that is known for a grant, or nothing. One that undoes the Node authorizer is never excused.
func shippedBy(table *nodeauthorizer.Table, g *rbac.Grant, r *authorization.Request) string {
	if known := knowngrants.Find(table, g, r); known != nil && !known.FullNode {
		return known.Distribution
	}
	return ""
}
