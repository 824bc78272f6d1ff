// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/access"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/knowngrants"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

// Class is what a permission is, compared with the intent.
type Class string

// Classes, the worst first.
const (
	Widened  Class = "widened"  // allowed, although the Node authorizer refuses it
	Missing  Class = "missing"  // refused, although the Node authorizer intends it
	Unknown  Class = "unknown"  // the API server could not tell
	Accepted Class = "accepted" // widened, and accepted with a reason
	Known    Class = "known"    // widened by Kubernetes or a distribution, and not dangerous
	Narrowed Class = "narrowed" // intended, and only the NodeRestriction admission plugin narrows it
	Intended Class = "intended" // allowed as the Node authorizer means it
	Refused  Class = "refused"  // refused, as the Node authorizer means it
	Untried  Class = "untried"  // not asked, because no related object is known
)

const (
	// maxGrants bounds how many grants are kept for a permission.
	maxGrants = 5
	// maxCandidates bounds how many questions come from the rules of RBAC, and maxPerRule from one rule.
	maxCandidates = 2000
	maxPerRule    = 200
	// maxReason bounds what is kept of a reason, in bytes.
	maxReason = 512
)

// question is what is asked about a kubelet.
type question struct {
	request    authorization.Request
	cell       *nodeauthorizer.Cell // nil: it comes from a rule of RBAC, or the API server serves it
	namespaces int                  // how many more namespaces the same rule is bound in
	untried    bool                 // it has no object to ask about
}

// answer is the answer of an API server to a question.
type answer struct {
	access.Answer
	err error // the API server could not be asked
}

// Right is a question with its class. Its texts are printable and bounded.
type Right struct {
	Class      Class    `json:"class"`
	Verb       string   `json:"verb"`
	Resource   string   `json:"resource,omitempty"` // with its group and subresource
	Path       string   `json:"path,omitempty"`
	Namespace  string   `json:"namespace,omitempty"`
	Name       string   `json:"name,omitempty"`
	Selector   string   `json:"selector,omitempty"`
	Object     string   `json:"object"` // which objects, such as all or unrelated; rule: what the table does not ask
	Danger     string   `json:"danger,omitempty"`
	Can        string   `json:"can,omitempty"` // what a kubelet can do with a permission that is not intended
	Allowed    *bool    `json:"allowed,omitempty"`
	Reason     string   `json:"reason,omitempty"` // of the authorizers
	Intent     string   `json:"intent"`
	Source     string   `json:"source,omitempty"` // where Kubernetes intends it
	Grants     []Source `json:"grants,omitempty"`
	MoreGrants int      `json:"moreGrants,omitempty"`
	MoreSpaces int      `json:"moreNamespaces,omitempty"`
	Note       string   `json:"note,omitempty"`
	// Inconsistent says that API servers answered differently. The class is that of the worst answer.
	Inconsistent bool   `json:"inconsistent,omitempty"`
	AcceptedFor  string `json:"acceptedFor,omitempty"`

	danger  nodeauthorizer.Danger
	request authorization.Request
	cell    *nodeauthorizer.Cell
}

// Source is a grant of RBAC that allows a permission.
type Source struct {
	Binding        string `json:"binding"` // kind and name
	Role           string `json:"role"`    // kind and name
	Rule           int    `json:"rule,omitempty"`
	AggregatedFrom string `json:"aggregatedFrom,omitempty"`
	Subject        string `json:"subject"`                // kind and name
	Distribution   string `json:"distribution,omitempty"` // that ships it

	grant    *rbac.Grant
	known    *knowngrants.Grant
	accepted *acceptance
}

// analysis is what permissions are compared with.
type analysis struct {
	node       string
	table      *nodeauthorizer.Table
	links      *nodeauthorizer.Links
	grants     *rbac.Grants            // nil: RBAC is not known
	candidates *rbac.Grants            // what else to ask about; nil: nothing
	served     []authorization.Request // what else to ask about, because the API server serves it
	accepted   *acceptances
	now        time.Time
}

// classify puts a question in a class. Without an answer, the Node authorizer and RBAC decide, in this order.
func (a *analysis) classify(q *question, said *answer) *Right {
	r := &Right{
		Verb: q.request.Verb, Path: q.request.Path, Namespace: q.request.Namespace, Name: q.request.Name, Object: "rule",
		MoreSpaces: q.namespaces, request: q.request, cell: q.cell,
	}
	if q.request.Path == "" {
		r.Resource = q.request.GroupResource()
	}
	if q.request.Selector.Field != "" {
		r.Selector = q.request.Selector.Field + "=" + q.request.Selector.Value
	}
	intent, gate := nodeauthorizer.Refused, nodeauthorizer.Gate("")
	if q.cell != nil {
		r.Object, intent, gate = string(q.cell.Object), q.cell.Intent, q.cell.Gate
		r.setSource(q.cell.Rule)
	} else if rule := a.table.Decide(a.node, &q.request, a.links.Related); rule != nil {
		intent = nodeauthorizer.Allowed
		if rule.Narrowed {
			intent = nodeauthorizer.Narrowed
		}
		r.setSource(rule)
	}
	r.Intent = string(intent)
	if q.untried {
		r.Class = Untried
		return r.printable()
	}
	a.addGrants(r, said)
	allowed := intent != nodeauthorizer.Refused || len(r.Grants) > 0
	if said != nil {
		if said.err != nil {
			r.Class, r.Note = Unknown, text.Cut(said.err.Error(), maxReason)
			return r.printable()
		}
		allowed = said.Allowed
		r.Reason = strings.Trim(text.Cut(said.Reason, maxReason)+"; "+text.Cut(said.Error, maxReason), "; ")
		if !allowed && len(r.Grants) > 0 {
			r.Note = "RBAC grants it, and another authorizer denies it"
		}
	}
	r.Allowed = &allowed
	r.Class = a.class(r, intent, gate, said)
	return r.printable()
}

func (r *Right) setSource(rule *nodeauthorizer.Rule) {
	if rule != nil {
		r.Source = rule.URL()
	}
}

// addGrants adds what RBAC says: its grants, if they are known, or else the one that the answer names.
func (a *analysis) addGrants(r *Right, said *answer) {
	var matches []rbac.Match
	count := 0
	if a.grants != nil {
		matches, count = a.grants.Matches(&r.request, maxGrants)
	} else if said != nil && said.Allowed {
		if grant, ok := rbac.ReadReason(said.Reason); ok {
			matches, count = []rbac.Match{{Grant: &grant, Rule: -1}}, 1
		}
	}
	r.MoreGrants = count - len(matches)
	for _, m := range matches {
		s := Source{
			Binding: rbac.Name(m.BindingKind, m.BindingNamespace, m.Binding), Role: m.RoleKind + " " + m.Role, Rule: m.Rule + 1,
			AggregatedFrom: m.AggregatedFrom(max(m.Rule, 0)), Subject: m.Subject.Kind + " " + m.Subject.Name,
			grant: m.Grant, known: knowngrants.Find(a.table, m.Grant, &r.request), accepted: a.accepted.find(m.Grant, &r.request, a.now),
		}
		if s.known != nil {
			s.Distribution = s.known.Distribution
		}
		r.Grants = append(r.Grants, s)
	}
}

// class returns the class of a permission that was asked.
func (a *analysis) class(r *Right, intent nodeauthorizer.Intent, gate nodeauthorizer.Gate, said *answer) Class {
	switch {
	case !*r.Allowed && intent == nodeauthorizer.Refused:
		return Refused
	case !*r.Allowed && gate != "":
		r.Note = "the feature gate " + string(gate) + " of the API server is not as by default"
		return Refused
	case !*r.Allowed:
		r.Note = "the Node authorizer intends it; a kubelet that needs it fails"
		return Missing
	case intent == nodeauthorizer.Allowed:
		return Intended
	case intent == nodeauthorizer.Narrowed:
		return Narrowed
	case gate != "" && len(r.Grants) == 0 && said != nil && said.Reason == "":
		r.Note = "the feature gate " + string(gate) + " of the API server is not as by default"
		return Intended
	}
	r.danger, r.Can = nodeauthorizer.Risk(&r.request)
	r.Danger = r.danger.String()
	if len(r.Grants) == 0 && said != nil {
		r.Note = "neither RBAC nor the Node authorizer: another authorizer allows it"
		if a.grants == nil {
			r.Note = "not RBAC, by the reason, and not intended by the Node authorizer: another authorizer allows it"
		}
	}
	return a.excused(r)
}

// isAbout reports whether a cell, which may be nil, is about an object.
func isAbout(cell *nodeauthorizer.Cell, object nodeauthorizer.Object) bool {
	return cell != nil && cell.Object == object
}

// excused returns the class of a permission that is not intended: widened, unless every grant is known or accepted. Without grants only a
// right itself can be accepted.
func (a *analysis) excused(r *Right) Class {
	if by := a.accepted.find(nil, &r.request, a.now); by != nil {
		r.AcceptedFor = by.Reason
		return Accepted
	}
	if len(r.Grants) == 0 || r.MoreGrants > 0 {
		return Widened
	}
	class := Known
	for i := range r.Grants {
		switch s := &r.Grants[i]; {
		case s.known != nil && r.danger <= nodeauthorizer.Medium && !s.known.FullNode:
		case s.accepted != nil:
			class, r.AcceptedFor = Accepted, s.accepted.Reason
		default:
			return Widened
		}
	}
	if class == Known {
		r.Note = r.Grants[0].known.Distribution + ": " + r.Grants[0].known.Effect
	}
	return class
}

// printable escapes what others wrote.
func (r *Right) printable() *Right {
	for _, s := range []*string{
		&r.Verb, &r.Resource, &r.Path, &r.Namespace, &r.Name, &r.Selector, &r.Reason, &r.Note, &r.AcceptedFor,
	} {
		*s = text.Printable(text.Cut(*s, maxReason))
	}
	for i := range r.Grants {
		for _, s := range []*string{&r.Grants[i].Binding, &r.Grants[i].Role, &r.Grants[i].AggregatedFrom, &r.Grants[i].Subject} {
			*s = text.Printable(text.Cut(*s, maxReason))
		}
	}
	return r
}

// compare sorts permissions: the worst class first, then the greatest danger.
func compare(a, b *Right) int {
	order := classes()
	return cmp.Or(cmp.Compare(slices.Index(order, a.Class), slices.Index(order, b.Class)), cmp.Compare(b.danger, a.danger),
		cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Object, b.Object), cmp.Compare(verbOrder(a.Verb), verbOrder(b.Verb)), cmp.Compare(a.Verb, b.Verb))
}

// everywhere reports whether a grant gives the permission for all objects, whichever the question was about.
func (r *Right) everywhere() bool {
	return r.Path == "" && r.Intent == string(nodeauthorizer.Refused) && slices.ContainsFunc(r.Grants, func(s Source) bool {
		return s.Rule > 0 && s.grant.BindingNamespace == "" && len(s.grant.Rules()[s.Rule-1].ResourceNames) == 0
	})
}

// verbs are the verbs of requests about resources, in the order in which they are shown.
func verbs() []string {
	return []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
}

func verbOrder(verb string) int {
	if i := slices.Index(verbs(), verb); i >= 0 {
		return i
	}
	return len(verbs())
}

// scope says in a few words which objects a permission is about.
func (r *Right) scope() string {
	if r.everywhere() {
		return "all"
	}
	within := ""
	if r.Namespace != "" {
		within = " in " + r.Namespace
	}
	if r.MoreSpaces > 0 {
		within += fmt.Sprintf(" and %d more namespaces", r.MoreSpaces)
	}
	switch nodeauthorizer.Object(r.Object) {
	case nodeauthorizer.All:
		return "all"
	case nodeauthorizer.Selected:
		return "of its node"
	case nodeauthorizer.Own:
		return "its own"
	case nodeauthorizer.Other:
		return "of another node"
	case nodeauthorizer.Linked:
		return "of its pods"
	case nodeauthorizer.Unrelated:
		return "any" + within
	case nodeauthorizer.Namespace, nodeauthorizer.Leases:
		return "all" + within
	case nodeauthorizer.Path:
		return ""
	}
	switch {
	case r.Path != "":
		return ""
	case r.Name != "":
		return r.Name + within
	case r.Namespace != "":
		return "all" + within
	}
	return "all"
}
