// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeauthorizer

import (
	"cmp"
	"slices"
	"strings"

	"noderestriction.plus/internal/authorization"
)

// Object says which objects a [Cell] is about.
type Object string

// Objects.
const (
	All       Object = "all"             // no name and no namespace: the whole cluster
	Namespace Object = "namespace"       // no name: all of a namespace
	Leases    Object = "kube-node-lease" // no name: all of [LeaseNamespace]
	Selected  Object = "selected"        // no name: those whose spec.nodeName is the node
	Own       Object = "own"             // the object with the name of the node
	Other     Object = "other"           // the object of the same kind with the name of another node
	Linked    Object = "related"         // an object that is related to the node in the Node authorizer's graph
	Unrelated Object = "unrelated"       // a named object that is not
	Path      Object = "path"            // no object: a path of the API server
)

// Intent is what the Node authorizer intends for a [Cell].
type Intent string

// Intents.
const (
	Allowed  Intent = "allowed"  // for what the cell is about
	Narrowed Intent = "narrowed" // allowed, and the NodeRestriction admission plugin refuses most of it
	Refused  Intent = "refused"  // no opinion: what the next authorizer says counts
)

// Cell is a question to an API server, and what the Node authorizer intends as the answer.
type Cell struct {
	Verb, Group, Resource, Subresource string
	Object                             Object
	Path                               string // for [Path]
	Namespaced                         bool
	Intent                             Intent
	Rule                               *Rule // with which the Node authorizer allows it; nil if Refused
	// Gate is a feature gate with whose other setting the Intent would be the opposite; empty if there is no such gate.
	Gate Gate
	// Danger is what it means if a Refused cell is allowed after all, and Why what a kubelet can do then, as [Risk] returns them. Other
	// cells have neither.
	Danger Danger
	Why    string
}

// Key names the cell, such as "list secrets (all)" or "get pods/log (unrelated)".
func (c *Cell) Key() string {
	request := authorization.Request{Verb: c.Verb, Group: c.Group, Resource: c.Resource, Subresource: c.Subresource, Path: c.Path}
	return c.Verb + " " + request.GroupResource() + " (" + string(c.Object) + ")"
}

// Names are the names with which cells become requests.
type Names struct {
	Node, OtherNode string
	Namespace       string // for [Namespace] and [Unrelated]
	Unrelated       string // of an object that is not related to the node, and need not exist
	// Related has the namespace and name of a related object by resource without group, such as secrets. Where it has none, the
	// request has no name, and cannot be asked.
	Related map[string]NamespacedName
}

// NamespacedName is the name of an object, with its namespace if it has one.
type NamespacedName struct{ Namespace, Name string }

// Request returns the cell as a request. It reports false if the names lack a related object.
func (c *Cell) Request(n *Names) (authorization.Request, bool) {
	r := authorization.Request{Verb: c.Verb, Group: c.Group, Resource: c.Resource, Subresource: c.Subresource, Path: c.Path}
	namespace := n.Namespace
	if c.Resource == "leases" && c.Object != Unrelated {
		namespace = LeaseNamespace
	}
	switch c.Object {
	case Namespace:
		r.Namespace = n.Namespace
		return r, true
	case Leases:
		r.Namespace = LeaseNamespace
		return r, true
	case Selected:
		r.Selector = authorization.Selector{Field: "spec.nodeName", Value: n.Node}
		return r, true
	case Own:
		r.Name = n.Node
	case Other:
		r.Name = n.OtherNode
	case Unrelated:
		r.Name = cmp.Or(wellKnown(c.Resource), n.Unrelated)
	case Linked:
		related, ok := n.Related[c.Resource]
		r.Namespace, r.Name = related.Namespace, related.Name
		return r, ok
	case All, Path:
		return r, true
	}
	if c.Namespaced {
		r.Namespace = namespace
	}
	return r, true
}

// wellKnown returns the name that permissions for a virtual resource usually have, or an empty text.
func wellKnown(resource string) string {
	switch resource {
	case "signers":
		return "kubernetes.io/kube-apiserver-client-kubelet"
	case "groups":
		return "system:masters"
	}
	return ""
}

// question is a list of cells of a resource: every verb for every object.
type question struct{ verbs, objects string }

// subject is a resource with its cells.
type subject struct {
	group, resource string // with its subresource
	namespaced      bool
	questions       []question
}

// subjects returns what is worth asking.
func subjects() []subject {
	const read, write, remove = "get list watch", "update patch", "delete"
	return []subject{
		{"", "nodes", false, []question{
			{read, "own other"}, {"list watch deletecollection create", "all"}, {"update patch", "own other"}, {remove, "own other"},
		}},
		{"", "nodes/status", false, []question{{"get update patch", "own other"}}},
		{"", "nodes/proxy", false, []question{{"get create", "own other"}}},
		{"", "nodes/metrics", false, []question{{"get", "other"}}},
		{"", "nodes/stats", false, []question{{"get", "other"}}},
		{"", "nodes/log", false, []question{{"get", "other"}}},
		{"", "nodes/pods", false, []question{{"get", "other"}}},
		{"", "nodes/configz", false, []question{{"get", "other"}}},
		{"", "nodes/healthz", false, []question{{"get", "other"}}},
		{"", "nodes/checkpoint", false, []question{{"create", "other"}}},
		{"", "pods", true, []question{
			{read, "related unrelated"},
			{"list watch", "selected namespace all"},
			{"create deletecollection", "namespace"},
			{"delete", "related unrelated"},
			{write, "related unrelated"},
		}},
		{"", "pods/status", true, []question{{"get", "unrelated"}, {write, "related unrelated"}}},
		{"", "pods/eviction", true, []question{{"create", "related unrelated"}}},
		{"", "pods/exec", true, []question{{"get create", "unrelated"}}},
		{"", "pods/attach", true, []question{{"get create", "unrelated"}}},
		{"", "pods/portforward", true, []question{{"get create", "unrelated"}}},
		{"", "pods/ephemeralcontainers", true, []question{{write, "unrelated"}}},
		{"", "pods/binding", true, []question{{"create", "unrelated"}}},
		{"", "pods/resize", true, []question{{"patch", "unrelated"}}},
		{"", "pods/log", true, []question{{"get", "related unrelated"}}},
		{"", "pods/proxy", true, []question{{"get create", "unrelated"}}},
		{"", "secrets", true, []question{
			{read, "related unrelated"},
			{"list watch", "namespace all"},
			{"create", "namespace"},
			{"update patch delete", "unrelated"},
		}},
		{"", "configmaps", true, []question{
			{read, "related unrelated"}, {"list watch", "namespace all"}, {"create", "namespace"}, {"update patch delete", "unrelated"},
		}},
		{"", "serviceaccounts", true, []question{
			{"get", "related unrelated"},
			{"list", "related namespace all"},
			{"create", "namespace"},
			{write, "unrelated"},
			{"impersonate", "unrelated"},
		}},
		{"", "serviceaccounts/token", true, []question{{"create", "related unrelated"}}},
		{"", "persistentvolumeclaims", true, []question{
			{"get", "related unrelated"}, {"list", "namespace all"}, {"create", "namespace"}, {"update patch delete", "unrelated"},
		}},
		{"", "persistentvolumeclaims/status", true, []question{{write, "related unrelated"}}},
		{"", "persistentvolumes", false, []question{
			{"get", "related unrelated"}, {"list watch create", "all"}, {"update patch delete", "unrelated"},
		}},
		{storageGroup, "volumeattachments", false, []question{
			{"get", "related unrelated"}, {"list create", "all"}, {"update patch delete", "unrelated"},
		}},
		{resourceGroup, "resourceclaims", true, []question{
			{"get", "related unrelated"},
			{"list", "namespace all"},
			{"create", "namespace"},
			{"update patch delete", "unrelated"},
		}},
		{resourceGroup, "resourceslices", false, []question{
			{"list watch deletecollection", "selected all"}, {"create", "all"}, {"get update patch delete", "related unrelated"},
		}},
		{coordinationGroup, "leases", true, []question{
			{"get update patch delete", "own other unrelated"},
			{"create", "kube-node-lease namespace"},
			{"list watch", "own kube-node-lease all"},
		}},
		{storageGroup, "csinodes", false, []question{
			{"get update patch delete", "own other"}, {"create", "all"}, {"list watch", "all"},
		}},
		{storageGroup, "csinodes/status", false, []question{{"get update patch", "own other"}}},
		{certificatesGroup, "podcertificaterequests", true, []question{
			{"create", "namespace"}, {"get", "related unrelated"}, {"list watch", "selected all"}, {"update delete", "unrelated"},
		}},
		{certificatesGroup, "podcertificaterequests/status", true, []question{{"update", "unrelated"}}},
		{certificatesGroup, "certificatesigningrequests", false, []question{
			{"create list watch", "all"}, {"get", "unrelated"}, {"update patch delete", "unrelated"},
		}},
		{certificatesGroup, "certificatesigningrequests/approval", false, []question{{"update", "unrelated"}}},
		{certificatesGroup, "certificatesigningrequests/status", false, []question{{"update", "unrelated"}}},
		{certificatesGroup, "certificatesigningrequests/nodeclient", false, []question{{"create", "all"}}},
		{certificatesGroup, "certificatesigningrequests/selfnodeclient", false, []question{{"create", "all"}}},
		{certificatesGroup, "certificatesigningrequests/selfnodeserver", false, []question{{"create", "all"}}},
		{certificatesGroup, "signers", false, []question{{"approve sign attest", "unrelated"}}},
		{certificatesGroup, "clustertrustbundles", false, []question{
			{"get", "unrelated"}, {"list watch create", "all"}, {"update delete", "unrelated"},
		}},
		{"", "events", true, []question{
			{"create", "namespace"}, {"update patch", "unrelated"}, {"get delete", "unrelated"}, {"list", "all"},
		}},
		{eventsGroup, "events", true, []question{
			{"create", "namespace"}, {"update patch", "unrelated"}, {"get delete", "unrelated"}, {"list", "all"},
		}},
		{"", "services", true, []question{
			{"get", "unrelated"}, {"list watch", "all"}, {"create", "namespace"}, {"update delete", "unrelated"},
		}},
		{"", "endpoints", true, []question{{"get", "unrelated"}, {"list", "all"}, {"update", "unrelated"}}},
		{"discovery.k8s.io", "endpointslices", true, []question{{"list", "all"}, {"update", "unrelated"}}},
		{storageGroup, "csidrivers", false, []question{
			{"get", "unrelated"}, {"list watch create", "all"}, {"update delete", "unrelated"},
		}},
		{nodeGroup, "runtimeclasses", false, []question{
			{"get", "unrelated"}, {"list watch create", "all"}, {"update delete", "unrelated"},
		}},
		{authenticationGroup, "tokenreviews", false, []question{{"create", "all"}}},
		{authenticationGroup, "selfsubjectreviews", false, []question{{"create", "all"}}},
		{authorizationGroup, "subjectaccessreviews", false, []question{{"create", "all"}}},
		{authorizationGroup, "localsubjectaccessreviews", true, []question{{"create", "namespace"}}},
		{authorizationGroup, "selfsubjectaccessreviews", false, []question{{"create", "all"}}},
		{authorizationGroup, "selfsubjectrulesreviews", false, []question{{"create", "all"}}},

		// What no kubelet needs.
		{"", "namespaces", false, []question{{"get", "unrelated"}, {"list create", "all"}, {"update delete", "unrelated"}}},
		{"apps", "daemonsets", true, []question{
			{"get", "unrelated"}, {"list", "all"}, {"create", "namespace"}, {"patch delete", "unrelated"},
		}},
		{"apps", "deployments", true, []question{{"list", "all"}, {"create", "namespace"}, {"patch", "unrelated"}}},
		{"batch", "jobs", true, []question{{"create", "namespace"}}},
		{"networking.k8s.io", "networkpolicies", true, []question{{"list", "all"}, {"delete", "unrelated"}}},
		{"rbac.authorization.k8s.io", "clusterroles", false, []question{
			{"list create", "all"}, {"update escalate bind", "unrelated"},
		}},
		{"rbac.authorization.k8s.io", "clusterrolebindings", false, []question{
			{"list create", "all"}, {"update delete", "unrelated"},
		}},
		{"rbac.authorization.k8s.io", "rolebindings", true, []question{{"create", "namespace"}, {"update", "unrelated"}}},
		{"admissionregistration.k8s.io", "validatingwebhookconfigurations", false, []question{
			{"list create", "all"}, {"update delete", "unrelated"},
		}},
		{"admissionregistration.k8s.io", "mutatingwebhookconfigurations", false, []question{
			{"create", "all"}, {"update", "unrelated"},
		}},
		{"admissionregistration.k8s.io", "validatingadmissionpolicybindings", false, []question{{"delete", "unrelated"}}},
		{"apiextensions.k8s.io", "customresourcedefinitions", false, []question{{"list", "all"}, {"update delete", "unrelated"}}},
		{"apiregistration.k8s.io", "apiservices", false, []question{{"create", "all"}, {"update", "unrelated"}}},
		{"noderestriction.plus", "noderestrictionpolicies", false, []question{{"list", "all"}, {"update delete", "unrelated"}}},
		{"", "users", false, []question{{"impersonate", "unrelated"}}},
		{"", "groups", false, []question{{"impersonate", "unrelated"}}},
		{authenticationGroup, "nodes", false, []question{{"impersonate:arbitrary-node", "other"}}},
		{"*", "*", false, []question{{"*", "all"}}},
	}
}

// paths returns the paths of the API server that are worth asking.
func paths() []string {
	return []string{
		"/api", "/apis", "/openapi/v2", "/version", "/healthz", "/livez", "/readyz", // all authenticated users
		"/metrics", "/debug/pprof/", "/logs/", "/flagz", "/statusz", "/configz",
	}
}

// Cells returns the questions that are worth asking about a kubelet, sorted by resource.
func (t *Table) Cells() []Cell {
	var cells []Cell
	for _, s := range subjects() {
		resource, subresource, _ := strings.Cut(s.resource, "/")
		for _, q := range s.questions {
			for _, verb := range strings.Fields(q.verbs) {
				for _, object := range strings.Fields(q.objects) {
					cells = append(cells, Cell{
						Verb: verb, Group: s.group, Resource: resource, Subresource: subresource,
						Object: Object(object), Namespaced: s.namespaced,
					})
				}
			}
		}
	}
	for _, path := range paths() {
		cells = append(cells, Cell{Verb: "get", Object: Path, Path: path})
	}
	others := t.others()
	for i := range cells {
		t.complete(&cells[i], others)
	}
	slices.SortStableFunc(cells, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Group, b.Group),
			cmp.Compare(a.Subresource, b.Subresource))
	})
	return cells
}

// others returns the tables that differ from this one in one feature gate that can be set.
func (t *Table) others() map[Gate]*Table {
	others := map[Gate]*Table{}
	for _, gate := range t.Gates() {
		settings := map[Gate]bool{}
		for _, g := range t.Gates() {
			settings[g] = t.settings[g] != (g == gate)
		}
		if other, err := New(t.Minor, settings); err == nil {
			others[gate] = other
		}
	}
	return others
}

// complete sets what follows from the question.
func (t *Table) complete(c *Cell, others map[Gate]*Table) {
	c.Intent, c.Rule = t.intent(c)
	for _, gate := range t.Gates() {
		if other, ok := others[gate]; ok {
			if intent, _ := other.intent(c); (intent == Refused) != (c.Intent == Refused) {
				c.Gate = gate
				break
			}
		}
	}
	if c.Intent == Refused {
		request, _ := c.Request(modelNames())
		c.Danger, c.Why = Risk(&request)
	}
}

// modelNames returns names that stand for all others: whether a cell is intended does not depend on them.
func modelNames() *Names {
	n := &Names{Node: "node", OtherNode: "other-node", Namespace: "kube-system", Unrelated: "unrelated", Related: map[string]NamespacedName{}}
	for _, resource := range RelatedResources() {
		n.Related[resource] = NamespacedName{"default", "related"}
	}
	return n
}

// RelatedResources returns the resources, without their groups, that the Node authorizer relates to nodes by its graph.
func RelatedResources() []string {
	return []string{
		"configmaps", "persistentvolumeclaims", "persistentvolumes", "podcertificaterequests", "pods", "resourceclaims", "resourceslices",
		"secrets", "serviceaccounts", "volumeattachments",
	}
}

func (t *Table) intent(c *Cell) (Intent, *Rule) {
	names := modelNames()
	request, _ := c.Request(names)
	rule := t.Decide(names.Node, &request, func(*authorization.Request) bool { return c.Object == Linked })
	switch {
	case rule == nil:
		return Refused, nil
	case rule.Narrowed:
		return Narrowed, rule
	}
	return Allowed, rule
}
