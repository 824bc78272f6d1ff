// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nodeauthorizer has, as data, what the Node authorizer of Kubernetes lets a kubelet do: by release, verb, resource and
// relation to the node. It needs no cluster.
//
// [New] returns the table of a release, [Table.Decide] what the Node authorizer would answer to any request, and [Table.Cells] the
// questions worth asking an API server: what is intended, and what must be refused, with the danger if it is not. Tests compare
// the table with the Node authorizer's own code and with a real API server.
package nodeauthorizer

import (
	"fmt"
	"slices"
	"strings"

	"noderestriction.plus/internal/authorization"
)

// Minor releases of Kubernetes 1 that the package knows.
const (
	Oldest = 30
	Newest = 37
)

// LeaseNamespace is the namespace of the leases of nodes.
const LeaseNamespace = "kube-node-lease"

// Condition is what a request must fulfil for a [Rule], beside verb and resource.
type Condition string

// Conditions.
const (
	Always         Condition = "always"           // any object
	OwnName        Condition = "own name"         // the object has the name of the node
	InLeases       Condition = "lease namespace"  // in the namespace of the leases of nodes
	OwnLease       Condition = "own lease"        // there, and with the name of the node
	OwnSelector    Condition = "own selector"     // spec.nodeName=<the node> selects
	Related        Condition = "related"          // the object is named, and related to the node in the authorizer's graph
	RelatedInSpace Condition = "related in space" // like Related, and the request names a namespace
)

// Rule allows requests.
type Rule struct {
	Verbs     []string
	Group     string
	Resource  string // with its subresource, such as pods/status; /* stands for any, and for none
	Condition Condition
	// Narrowed reports that the NodeRestriction admission plugin refuses most of what the rule allows, such as changing other Nodes.
	Narrowed bool
	// Gate is the feature gate without which the rule does not exist; if Off is set, the one with which it does not exist.
	Gate Gate
	Off  bool
	// Since and Until are the first and the last minor release with the rule; zero: no bound.
	Since, Until int
	// Source is a file and a line of Kubernetes, of the last release that has the rule: 1.37.2, or 1.33.13 if Until is 33.
	Source string
}

// URL returns the address of the Source.
func (rule *Rule) URL() string {
	release := "v1.37.2"
	if rule.Until > 0 {
		release = "v1.33.13"
	}
	file, line, _ := strings.Cut(rule.Source, ":")
	return "https://github.com/kubernetes/kubernetes/blob/" + release + "/" + file + "#L" + line
}

// Gate is the name of a feature gate of the API server.
type Gate string

// Gates that change what the Node authorizer allows.
const (
	WithSelectors       Gate = "AuthorizeNodeWithSelectors"
	ServiceAccountReads Gate = "KubeletServiceAccountTokenForCredentialProviders"
	TrustBundles        Gate = "ClusterTrustBundle"
	PodCertificates     Gate = "PodCertificateRequest"
	VolumeHealth        Gate = "CSIVolumeHealth"
)

// gateHistory has the minor releases from which a gate can be set, is on by default, and cannot be turned off. A zero means never.
type gateHistory struct {
	gate                  Gate
	offered, on, lockedOn int
}

// gates is the history of all gates, from pkg/features/kube_features.go of the releases.
func gates() []gateHistory {
	return []gateHistory{
		{gate: WithSelectors, offered: 31, on: 32, lockedOn: 34},
		{gate: ServiceAccountReads, offered: 33, on: 34},
		{gate: TrustBundles, offered: 27, on: 37},
		{gate: PodCertificates, offered: 34, on: 37},
		{gate: VolumeHealth, offered: 37},
	}
}

const (
	nodeAuthorizer = "plugin/pkg/auth/authorizer/node/node_authorizer.go:"
	nodeRules      = "plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go:"

	authenticationGroup = "authentication.k8s.io"
	authorizationGroup  = "authorization.k8s.io"
	certificatesGroup   = "certificates.k8s.io"
	coordinationGroup   = "coordination.k8s.io"
	eventsGroup         = "events.k8s.io"
	nodeGroup           = "node.k8s.io"
	resourceGroup       = "resource.k8s.io"
	storageGroup        = "storage.k8s.io"
)

func verbs(list string) []string { return strings.Fields(list) }

// rules returns the rules of all releases. Those of a resource that the authorizer decides in code of its own come first.
func rules() []Rule {
	const na, np = nodeAuthorizer, nodeRules
	const read, write, own = "get list watch", "update patch", "get update patch delete"
	return []Rule{
		// Nodes and pods, with the gate and without.
		{Verbs: verbs("create update patch"), Resource: "nodes", Narrowed: true, Gate: WithSelectors, Source: na + "431"},
		{Verbs: verbs(read), Resource: "nodes", Condition: OwnName, Gate: WithSelectors, Source: na + "434"},
		{Verbs: verbs(write), Resource: "nodes/status", Narrowed: true, Gate: WithSelectors, Source: na + "450"},
		{Verbs: verbs("get"), Resource: "pods", Condition: Related, Gate: WithSelectors, Source: na + "465"},
		{Verbs: verbs("list watch"), Resource: "pods", Condition: OwnSelector, Gate: WithSelectors, Source: na + "468"},
		{Verbs: verbs("list watch"), Resource: "pods", Condition: Related, Gate: WithSelectors, Source: na + "468"},
		{Verbs: verbs("create delete"), Resource: "pods", Narrowed: true, Gate: WithSelectors, Source: na + "484"},
		{Verbs: verbs(write), Resource: "pods/status", Narrowed: true, Gate: WithSelectors, Source: na + "492"},
		{Verbs: verbs("create"), Resource: "pods/eviction", Narrowed: true, Gate: WithSelectors, Source: na + "499"},
		{Verbs: verbs("create get list watch"), Resource: "nodes", Gate: WithSelectors, Off: true, Until: 33, Source: np + "200"},
		{Verbs: verbs(write), Resource: "nodes", Narrowed: true, Gate: WithSelectors, Off: true, Until: 33, Source: np + "202"},
		{Verbs: verbs(write), Resource: "nodes/status", Narrowed: true, Gate: WithSelectors, Off: true, Until: 33, Source: np + "201"},
		{Verbs: verbs(read), Resource: "pods", Gate: WithSelectors, Off: true, Until: 33, Source: np + "208"},
		{Verbs: verbs("create delete"), Resource: "pods", Narrowed: true, Gate: WithSelectors, Off: true, Until: 33, Source: np + "212"},
		{Verbs: verbs(write), Resource: "pods/status", Narrowed: true, Gate: WithSelectors, Off: true, Until: 33, Source: np + "215"},
		{Verbs: verbs("create"), Resource: "pods/eviction", Narrowed: true, Gate: WithSelectors, Off: true, Until: 33, Source: np + "218"},

		// What pods of the node use.
		{Verbs: verbs(read), Resource: "secrets", Condition: RelatedInSpace, Source: na + "136"},
		{Verbs: verbs(read), Resource: "configmaps", Condition: RelatedInSpace, Source: na + "138"},
		{Verbs: verbs("get"), Resource: "persistentvolumeclaims", Condition: Related, Source: na + "143"},
		{Verbs: verbs(write), Resource: "persistentvolumeclaims/status", Condition: Related, Narrowed: true, Source: na + "141"},
		{Verbs: verbs("get"), Resource: "persistentvolumes", Condition: Related, Source: na + "145"},
		{Verbs: verbs("get"), Group: resourceGroup, Resource: "resourceclaims", Condition: Related, Source: na + "147"},
		{Verbs: verbs("get"), Group: storageGroup, Resource: "volumeattachments", Condition: Related, Source: na + "149"},
		{Verbs: verbs("create"), Resource: "serviceaccounts/token", Condition: Related, Narrowed: true, Source: na + "268"},
		{Verbs: verbs("get"), Resource: "serviceaccounts", Condition: RelatedInSpace, Gate: ServiceAccountReads, Source: na + "254"},
		{Verbs: verbs("get"), Resource: "serviceaccounts", Condition: RelatedInSpace, Gate: PodCertificates, Source: na + "254"},

		// What belongs to the node.
		{Verbs: verbs("create"), Group: coordinationGroup, Resource: "leases/*", Condition: InLeases, Narrowed: true, Source: na + "295"},
		{Verbs: verbs(own), Group: coordinationGroup, Resource: "leases/*", Condition: OwnLease, Source: na + "295"},
		{Verbs: verbs("create"), Group: storageGroup, Resource: "csinodes", Narrowed: true, Source: na + "326"},
		{Verbs: verbs(own), Group: storageGroup, Resource: "csinodes", Condition: OwnName, Source: na + "326"},
		{
			Verbs: verbs("get update patch"), Group: storageGroup, Resource: "csinodes/status", Condition: OwnName, Gate: VolumeHealth,
			Source: na + "339",
		},
		{Verbs: verbs("create"), Group: resourceGroup, Resource: "resourceslices", Narrowed: true, Source: na + "371"},
		{Verbs: verbs(own), Group: resourceGroup, Resource: "resourceslices", Condition: Related, Source: na + "377"},
		{
			Verbs: verbs("list watch deletecollection"), Group: resourceGroup, Resource: "resourceslices", Condition: OwnSelector,
			Gate: WithSelectors, Source: na + "381",
		},
		{
			Verbs: verbs("list watch"), Group: resourceGroup, Resource: "resourceslices", Gate: WithSelectors, Off: true, Until: 33,
			Source: na + "366",
		},
		{
			Verbs: verbs("deletecollection"), Group: resourceGroup, Resource: "resourceslices", Narrowed: true,
			Gate: WithSelectors, Off: true, Since: 31, Until: 33, Source: na + "366",
		},
		{
			Verbs: verbs("create"), Group: certificatesGroup, Resource: "podcertificaterequests", Narrowed: true, Gate: PodCertificates,
			Source: na + "404",
		},
		{
			Verbs: verbs("get"), Group: certificatesGroup, Resource: "podcertificaterequests", Condition: Related, Gate: PodCertificates,
			Source: na + "407",
		},
		{
			Verbs: verbs("list watch"), Group: certificatesGroup, Resource: "podcertificaterequests", Condition: OwnSelector,
			Gate: PodCertificates, Source: na + "409",
		},

		// What every node may do alike.
		{Verbs: verbs("create"), Group: authenticationGroup, Resource: "tokenreviews", Source: np + "217"},
		{Verbs: verbs("create"), Group: authorizationGroup, Resource: "subjectaccessreviews", Source: np + "218"},
		{Verbs: verbs("create"), Group: authorizationGroup, Resource: "localsubjectaccessreviews", Source: np + "218"},
		{Verbs: verbs(read), Resource: "services", Source: np + "221"},
		{Verbs: verbs("get"), Resource: "endpoints", Source: np + "255"},
		{Verbs: verbs("create update patch"), Resource: "events", Source: np + "230"},
		{Verbs: verbs("create update patch"), Group: eventsGroup, Resource: "events", Since: 35, Source: np + "230"},
		{
			Verbs: verbs("create get list watch"), Group: certificatesGroup, Resource: "certificatesigningrequests",
			Source: np + "258",
		},
		{Verbs: verbs(read), Group: storageGroup, Resource: "csidrivers", Source: np + "277"},
		{Verbs: verbs(read), Group: nodeGroup, Resource: "runtimeclasses", Source: np + "289"},
		{Verbs: verbs(read), Group: certificatesGroup, Resource: "clustertrustbundles", Gate: TrustBundles, Source: np + "298"},
	}
}

// Table is what the Node authorizer of one release allows.
type Table struct {
	// Minor is the minor release of Kubernetes 1.
	Minor    int
	settings map[Gate]bool
	rules    []Rule
}

// New returns the table of a minor release of Kubernetes 1, with its default feature gates except for the given settings. A
// release after [Newest] has the table of Newest. It fails for a release before [Oldest], and for a gate that the release
// does not let anybody set so.
func New(minor int, settings map[Gate]bool) (*Table, error) {
	if minor < Oldest {
		return nil, fmt.Errorf("release 1.%d of Kubernetes: the oldest whose Node authorizer is known is 1.%d", minor, Oldest)
	}
	t := &Table{Minor: min(minor, Newest), settings: map[Gate]bool{}}
	for _, g := range gates() {
		t.settings[g.gate] = g.on > 0 && t.Minor >= g.on
	}
	for gate, on := range settings {
		if on != t.settings[gate] && !slices.Contains(t.Gates(), gate) {
			return nil, fmt.Errorf("feature gate %q cannot be set to %t in Kubernetes 1.%d", gate, on, t.Minor)
		}
		t.settings[gate] = on
	}
	for _, r := range rules() {
		if (r.Since == 0 || t.Minor >= r.Since) && (r.Until == 0 || t.Minor <= r.Until) &&
			(r.Gate == "" || t.settings[r.Gate] != r.Off) {
			if r.Condition == "" {
				r.Condition = Always
			}
			t.rules = append(t.rules, r)
		}
	}
	return t, nil
}

// Gates returns the feature gates that change the table and that can be set in the release, sorted.
func (t *Table) Gates() []Gate {
	var names []Gate
	for _, g := range gates() {
		if t.Minor >= g.offered && (g.lockedOn == 0 || t.Minor < g.lockedOn) {
			names = append(names, g.gate)
		}
	}
	slices.Sort(names)
	return names
}

// Enabled reports whether the table has a feature gate on.
func (t *Table) Enabled(gate Gate) bool { return t.settings[gate] }

// Rules returns the rules of the table.
func (t *Table) Rules() []Rule { return slices.Clone(t.rules) }

// Decide returns the rule with which the Node authorizer allows what the kubelet of a node requests, or nil if it has no
// opinion. If a rule depends on it, it calls related to know whether the named object is related to the node.
func (t *Table) Decide(node string, r *authorization.Request, related func(*authorization.Request) bool) *Rule {
	if r.Path != "" || node == "" {
		return nil
	}
	for i := range t.rules {
		if rule := &t.rules[i]; rule.covers(r) && rule.fulfilled(node, r, related) {
			return rule
		}
	}
	return nil
}

// covers reports whether the rule is about the verb and the resource.
func (rule *Rule) covers(r *authorization.Request) bool {
	if rule.Group != r.Group || !slices.Contains(rule.Verbs, r.Verb) {
		return false
	}
	resource, subresource, _ := strings.Cut(rule.Resource, "/")
	return resource == r.Resource && (subresource == "*" || subresource == r.Subresource)
}

func (rule *Rule) fulfilled(node string, r *authorization.Request, related func(*authorization.Request) bool) bool {
	switch rule.Condition {
	case OwnName:
		return r.Name == node
	case InLeases:
		return r.Namespace == LeaseNamespace
	case OwnLease:
		return r.Namespace == LeaseNamespace && r.Name == node
	case OwnSelector:
		return r.Selector == authorization.Selector{Field: "spec.nodeName", Value: node}
	case Related:
		return r.Name != "" && related(r)
	case RelatedInSpace:
		return r.Name != "" && r.Namespace != "" && related(r)
	}
	return true
}

// SystemNode reports whether the ClusterRole system:node, if somebody binds it, allows a request: what the rules are about, without
// their conditions.
func (t *Table) SystemNode(r *authorization.Request) bool {
	return r.Path == "" && slices.ContainsFunc(t.rules, func(rule Rule) bool { return rule.covers(r) })
}
