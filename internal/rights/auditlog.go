// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/knowngrants"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

// usageKind is the kind of the output for an audit log.
const usageKind = "RightsUsage"

const (
	// maxUses bounds how many different uses are kept; further ones are counted. maxUseNodes bounds the nodes of a use.
	maxUses     = 5000
	maxUseNodes = 1000
	// maxAgent bounds what is kept of a user agent.
	maxAgent = 128
)

// Usage is which permissions kubelets used that the Node authorizer does not intend, by an audit log. Its texts are printable and bounded.
type Usage struct {
	command.Envelope
	Node       string     `json:"node,omitempty"` // empty: all nodes
	Table      string     `json:"table"`
	From       *time.Time `json:"from,omitempty"` // of the first and the last event, of whomever
	To         *time.Time `json:"to,omitempty"`
	Events     int        `json:"events"`     // read
	Kubelets   int        `json:"ofKubelets"` // of them
	Unreadable int        `json:"unreadable,omitempty"`
	WithoutWhy int        `json:"withoutReason,omitempty"` // of kubelets, and without the annotations of the authorizer
	More       int        `json:"more,omitempty"`          // uses that were not kept
	Notes      []string   `json:"notes,omitempty"`
	Items      []Use      `json:"items"`
	Bindings   []Unused   `json:"bindings,omitempty"` // of --from

	failOn string
}

// Use is a permission that a grant of RBAC gave, and that somebody used with the credential of a kubelet.
type Use struct {
	Class     Class     `json:"class"`
	Binding   string    `json:"binding"`
	Role      string    `json:"role"`
	Subject   string    `json:"subject"`
	Verb      string    `json:"verb"`
	Resource  string    `json:"resource"` // or a path
	Namespace string    `json:"namespace,omitempty"`
	UserAgent string    `json:"userAgent"`
	Count     int       `json:"count"`
	Nodes     int       `json:"nodes"`
	Node      string    `json:"node"` // one of them
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Danger    string    `json:"danger,omitempty"`
	Can       string    `json:"can,omitempty"`
	Note      string    `json:"note,omitempty"`

	danger  nodeauthorizer.Danger
	related bool // the Node authorizer intends it for related objects
	nodes   map[string]bool
	grant   *rbac.Grant
	request authorization.Request
}

// Unused is a binding that gives permissions that are not intended, and how many of them somebody used.
type Unused struct {
	Binding string `json:"binding"`
	Role    string `json:"role"`
	Subject string `json:"subject"`
	Rights  int    `json:"permissions"`     // that are not intended
	Used    int    `json:"usedPermissions"` // of them
	Uses    int    `json:"uses"`            // of the binding, of whatever right; 0: nobody needed it in the time of the log
	Fix     string `json:"fix,omitempty"`   // a command that removes the subject
}

// auditReader reads events and keeps the uses.
type auditReader struct {
	usage     *Usage
	table     *nodeauthorizer.Table
	accepted  *acceptances
	now       time.Time
	uses      map[useKey]*Use
	log       *auditlog.Log
	answers   *auditlog.Answers
	byName    bool // an event does not have groups
	rbacFirst bool // an event shows that RBAC is asked before the Node authorizer
}

type useKey struct{ reason, verb, resource, namespace, agent string }

func newAuditReader(table *nodeauthorizer.Table, o *Options, format auditlog.Format) *auditReader {
	a := &auditReader{
		usage: &Usage{
			Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: usageKind}, Node: o.Node, failOn: o.FailOn,
			Table: fmt.Sprintf("1.%d", table.Minor), Notes: o.Accepted.notes(o.Now), Items: []Use{},
		},
		table: table, accepted: o.Accepted, now: o.Now, uses: map[useKey]*Use{}, log: auditlog.NewLog(format),
		answers: auditlog.NewAnswers(),
	}
	a.log.Want = func(e *auditlog.Event) bool { return a.isWanted(e) }
	return a
}

// read reads the events of a file.
func (a *auditReader) read(r io.Reader) error {
	return a.log.Read(r, func(e *auditlog.Event) error {
		a.keep(e)
		return nil
	})
}

// isWanted reports whether an event is the answer to a kubelet that is asked about.
func (a *auditReader) isWanted(e *auditlog.Event) bool {
	user := e.Client()
	node, is := strings.CutPrefix(user.Username, authorization.NodeUserPrefix)
	switch {
	case !is, a.usage.Node != "" && node != a.usage.Node, e.Stage == auditlog.RequestReceived:
		return false
	case e.Format == auditlog.GKE:
		a.byName = true
		return true
	}
	return slices.Contains(user.Groups, authorization.NodesGroup)
}

func (a *auditReader) keep(e *auditlog.Event) {
	if !a.answers.IsFirst(e) {
		return
	}
	node := strings.TrimPrefix(e.Client().Username, authorization.NodeUserPrefix)
	a.usage.Kubelets++
	if e.Decision() == "" {
		a.usage.WithoutWhy++
		return
	}
	grant, byRBAC := rbac.ReadReason(e.Reason())
	if e.Decision() != auditlog.Allow || !byRBAC {
		return
	}
	r := e.Request()
	rule := a.table.Decide(node, &r, func(*authorization.Request) bool { return true })
	if rule != nil && rule.Condition != nodeauthorizer.Related && rule.Condition != nodeauthorizer.RelatedInSpace {
		a.rbacFirst = true
		return
	}
	if r.Verb == "list" || r.Verb == "watch" {
		r.Name = ""
	}
	a.count(e, node, e.Reason(), &grant, &r, rule != nil)
}

func (a *auditReader) count(e *auditlog.Event, node, reason string, g *rbac.Grant, r *authorization.Request, related bool) {
	key := useKey{reason, r.Verb, r.GroupResource(), r.Namespace, text.Cut(e.UserAgent, maxAgent)}
	use := a.uses[key]
	if use == nil {
		if len(a.uses) >= maxUses {
			a.usage.More++
			return
		}
		use = &Use{
			Binding: rbac.Name(g.BindingKind, g.BindingNamespace, g.Binding), Role: g.RoleKind + " " + g.Role,
			Subject: g.Subject.Kind + " " + g.Subject.Name, Verb: r.Verb, Resource: r.GroupResource(), Namespace: r.Namespace,
			UserAgent: key.agent, First: e.Received.UTC(), Last: e.Received.UTC(), nodes: map[string]bool{}, grant: g, request: *r, related: related,
		}
		a.uses[key] = use
	}
	use.Count++
	if len(use.nodes) < maxUseNodes {
		use.nodes[node] = true
	}
	if at := e.Received.UTC(); at.Before(use.First) {
		use.First = at
	} else if at.After(use.Last) {
		use.Last = at
	}
	use.related = use.related && related
}

// finish sorts the uses, and compares them with the permissions of a report, which may be nil.
func (a *auditReader) finish(rights *Report) *Usage {
	u := a.usage
	u.Events, u.Unreadable = a.log.Events+a.log.Unreadable, a.log.Unreadable
	if !a.log.First.IsZero() {
		from, to := a.log.First.UTC(), a.log.Last.UTC()
		u.From, u.To = &from, &to
	}
	if a.byName {
		u.Notes = append(u.Notes, "the audit log has no groups and no field selectors: all users with the name of a kubelet "+
			"count as kubelets, and a list with a selector as one without")
	}
	for _, use := range a.uses {
		if use.related && a.rbacFirst {
			continue // the Node authorizer would perhaps have allowed it
		}
		a.classify(use)
		u.Items = append(u.Items, *use)
	}
	if a.rbacFirst {
		u.Notes = append(u.Notes, "RBAC is asked before the Node authorizer: whether it was needed for objects of a node's pods is not known, "+
			"so these uses are left out")
	}
	slices.SortFunc(u.Items, func(x, y Use) int {
		order := []Class{Widened, Accepted, Known}
		return cmp.Or(cmp.Compare(slices.Index(order, x.Class), slices.Index(order, y.Class)), cmp.Compare(y.danger, x.danger),
			cmp.Compare(x.Binding, y.Binding), cmp.Compare(x.Resource, y.Resource), cmp.Compare(verbOrder(x.Verb), verbOrder(y.Verb)),
			cmp.Compare(x.Verb, y.Verb), cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.UserAgent, y.UserAgent))
	})
	if rights != nil {
		a.compareBindings(rights)
	}
	return u
}

// compareBindings says of each binding that gives permissions that are not intended which of them were used.
func (a *auditReader) compareBindings(rights *Report) {
	type right struct{ binding, subject, verb, resource string }
	used := map[right]bool{}
	uses := map[[2]string]int{}
	for _, use := range a.uses {
		binding := rbac.Name(use.grant.BindingKind, use.grant.BindingNamespace, use.grant.Binding)
		binding, subject := text.Printable(binding), text.Printable(use.grant.Subject.Kind+" "+use.grant.Subject.Name)
		used[right{binding, subject, use.request.Verb, use.request.GroupResource()}] = true
		uses[[2]string{binding, subject}] += use.Count
	}
	for _, b := range rights.Bindings {
		compared := Unused{
			Binding: b.Binding, Role: b.Role, Subject: b.Subject, Rights: b.Rights, Uses: uses[[2]string{b.Binding, b.Subject}], Fix: b.Fix,
		}
		for i := range rights.Items {
			item := &rights.Items[i]
			given := slices.ContainsFunc(item.Grants, func(s Source) bool { return s.Binding == b.Binding && s.Subject == b.Subject })
			if item.Class == Widened && given &&
				used[right{b.Binding, b.Subject, item.request.Verb, item.request.GroupResource()}] {
				compared.Used++
			}
		}
		a.usage.Bindings = append(a.usage.Bindings, compared)
	}
}

// classify puts a use in a class.
func (a *auditReader) classify(use *Use) {
	known := knowngrants.Find(a.table, use.grant, &use.request)
	use.danger, use.Can = nodeauthorizer.Risk(&use.request)
	use.Danger, use.Class = use.danger.String(), Widened
	if known != nil {
		use.Note = known.Distribution + ": " + known.Effect
		if use.danger <= nodeauthorizer.Medium && !known.FullNode {
			use.Class = Known
		}
	}
	if accepted := a.accepted.find(use.grant, &use.request, a.now); accepted != nil && use.Class == Widened {
		use.Class, use.Note = Accepted, accepted.Reason
	}
	if use.Class == Widened && use.related {
		use.Note = strings.TrimPrefix(use.Note+"; the Node authorizer refused it: the object is of no pod of the node, or no longer", "; ")
	}
	use.Nodes = len(use.nodes)
	use.Node = slices.Min(slices.Collect(maps.Keys(use.nodes)))
	for _, s := range []*string{
		&use.Binding, &use.Role, &use.Subject, &use.Verb, &use.Resource, &use.Namespace, &use.UserAgent, &use.Node, &use.Note,
	} {
		*s = text.Printable(text.Cut(*s, maxReason))
	}
}

// Err is the error of the command: that somebody used a permission that is not intended, or that the log tells nothing.
func (u *Usage) Err() error {
	widened := 0
	for i := range u.Items {
		if u.Items[i].Class == Widened && (u.failOn != failCritical || u.Items[i].danger == nodeauthorizer.Critical) {
			widened++
		}
	}
	switch {
	case u.failOn == failNever:
		return nil
	case widened > 0:
		return command.No("%s: not intended, and used", permissions(widened))
	case u.Kubelets == 0:
		return fmt.Errorf("there is no request of a kubelet among %d events", u.Events)
	case u.WithoutWhy == u.Kubelets:
		return errors.New("no event says why the request was allowed: the annotations are missing")
	}
	return nil
}
