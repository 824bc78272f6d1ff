// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/input"
	"noderestriction.plus/internal/knowngrants"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

// usageKind is the kind of the output for an audit log.
const usageKind = "RightsUsage"

const (
	// maxEvent bounds one event of an audit log, in bytes. Longer ones are counted and skipped.
	maxEvent = 8 << 20
	// maxUses bounds how many different uses are kept; further ones are counted. maxUseNodes bounds the nodes of a use.
	maxUses     = 5000
	maxUseNodes = 1000
	// maxAgent bounds what is kept of a user agent, and maxOpen how many long-running requests are remembered.
	maxAgent = 128
	maxOpen  = 100_000
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

// event is what is read of an event of an audit log.
type event struct {
	AuditID    string `json:"auditID"`
	Stage      string `json:"stage"`
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	User       struct {
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	} `json:"user"`
	ImpersonatedUser *struct {
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	} `json:"impersonatedUser"`
	UserAgent string `json:"userAgent"`
	ObjectRef *struct {
		Resource    string `json:"resource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIGroup    string `json:"apiGroup"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	Received    time.Time         `json:"requestReceivedTimestamp"`
	Annotations map[string]string `json:"annotations"`
	Items       []json.RawMessage `json:"items"` // of an EventList
}

// auditReader reads events and keeps the uses.
type auditReader struct {
	usage     *Usage
	table     *nodeauthorizer.Table
	accepted  *acceptances
	now       time.Time
	uses      map[useKey]*Use
	open      map[string]bool // IDs of long-running requests that have started
	rbacFirst bool            // an event shows that RBAC is asked before the Node authorizer
}

type useKey struct{ reason, verb, resource, namespace, agent string }

func newAuditReader(table *nodeauthorizer.Table, o *Options) *auditReader {
	return &auditReader{
		usage: &Usage{
			Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: usageKind}, Node: o.Node, failOn: o.FailOn,
			Table: fmt.Sprintf("1.%d", table.Minor), Notes: o.Accepted.notes(o.Now), Items: []Use{},
		},
		table: table, accepted: o.Accepted, now: o.Now, uses: map[useKey]*Use{}, open: map[string]bool{},
	}
}

// read reads the events of a file, one a line, as the API server writes them, or as a list.
func (a *auditReader) read(r io.Reader) error {
	in, err := input.NewReader(r)
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(in, 1<<20)
	for {
		line, err := readLine(lines)
		if len(line) > 0 {
			a.readEvent(line)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrTooLong):
			a.usage.Events++
			a.usage.Unreadable++
		case err != nil:
			return err
		}
	}
}

// readLine returns the next line without its end. It skips a line longer than maxEvent, and returns [bufio.ErrTooLong].
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	tooLong := false
	for {
		part, err := r.ReadSlice('\n')
		if !tooLong {
			line = append(line, part...)
		}
		if len(line) > maxEvent {
			line, tooLong = nil, true
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil && tooLong:
			return nil, bufio.ErrTooLong
		case err != nil:
			return bytes.TrimSpace(line), err
		}
		return bytes.TrimSpace(line), nil
	}
}

func (a *auditReader) readEvent(data []byte) {
	e := &event{}
	if err := json.Unmarshal(data, e); err != nil {
		a.usage.Events++
		a.usage.Unreadable++
		return
	}
	if e.Items != nil {
		for _, item := range e.Items {
			a.readEvent(item)
		}
		return
	}
	a.usage.Events++
	if e.Received.IsZero() {
		a.usage.Unreadable++
		return
	}
	a.extend(e.Received)
	a.keep(e)
}

// extend extends the time that the log covers.
func (a *auditReader) extend(at time.Time) {
	at = at.UTC()
	if a.usage.From == nil || at.Before(*a.usage.From) {
		a.usage.From = &at
	}
	if a.usage.To == nil || at.After(*a.usage.To) {
		a.usage.To = &at
	}
}

// counts reports whether an event counts as a request: every request has one event that is its end, except for those that still run.
func (a *auditReader) counts(e *event) bool {
	switch e.Stage {
	case "ResponseStarted":
		if len(a.open) >= maxOpen {
			clear(a.open)
		}
		a.open[e.AuditID] = true
		return true
	case "ResponseComplete", "Panic":
		started := a.open[e.AuditID]
		delete(a.open, e.AuditID)
		return !started
	}
	return false
}

func (a *auditReader) keep(e *event) {
	user, groups := e.User.Username, e.User.Groups
	if e.ImpersonatedUser != nil {
		user, groups = e.ImpersonatedUser.Username, e.ImpersonatedUser.Groups
	}
	node, is := strings.CutPrefix(user, authorization.NodeUserPrefix)
	if !is || !slices.Contains(groups, authorization.NodesGroup) || a.usage.Node != "" && node != a.usage.Node || !a.counts(e) {
		return
	}
	a.usage.Kubelets++
	decision, reason := e.Annotations["authorization.k8s.io/decision"], e.Annotations["authorization.k8s.io/reason"]
	if decision == "" {
		a.usage.WithoutWhy++
		return
	}
	grant, byRBAC := rbac.ReadReason(reason)
	if decision != "allow" || !byRBAC {
		return
	}
	r := e.request()
	rule := a.table.Decide(node, &r, func(*authorization.Request) bool { return true })
	if rule != nil && rule.Condition != nodeauthorizer.Related && rule.Condition != nodeauthorizer.RelatedInSpace {
		a.rbacFirst = true
		return
	}
	if r.Verb == "list" || r.Verb == "watch" {
		r.Name = ""
	}
	a.count(e, node, reason, &grant, &r, rule != nil)
}

// request returns what an event is about. A field selector is not among what an event tells, except in its URI.
func (e *event) request() authorization.Request {
	r := authorization.Request{Verb: e.Verb}
	if e.ObjectRef == nil || e.ObjectRef.Resource == "" {
		r.Path, _, _ = strings.Cut(e.RequestURI, "?")
		return r
	}
	o := e.ObjectRef
	r.Group, r.Resource, r.Subresource, r.Namespace, r.Name = o.APIGroup, o.Resource, o.Subresource, o.Namespace, o.Name
	if _, query, found := strings.Cut(e.RequestURI, "?"); found {
		r.Selector, r.Name = selectorOf(query, r.Name)
	}
	return r
}

// selectorOf reads the field selector of a query, as far as a [authorization.Request] can have it, and the name that it selects.
func selectorOf(query, name string) (authorization.Selector, string) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return authorization.Selector{}, name
	}
	for requirement := range strings.SplitSeq(values.Get("fieldSelector"), ",") {
		field, value, found := strings.Cut(requirement, "=")
		switch {
		case !found || strings.HasSuffix(field, "!"):
		case field == "metadata.name" && name == "":
			name = strings.TrimPrefix(value, "=")
		case field == "spec.nodeName":
			return authorization.Selector{Field: field, Value: strings.TrimPrefix(value, "=")}, name
		}
	}
	return authorization.Selector{}, name
}

func (a *auditReader) count(e *event, node, reason string, g *rbac.Grant, r *authorization.Request, related bool) {
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
