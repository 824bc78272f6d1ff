// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strconv"
	"strings"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
)

const (
	// ProbeNode is the name of a node that cannot exist, for questions and for the dry run.
	ProbeNode = "nrp-doctor.invalid"
	// ProbeOtherNode is the name of another such node.
	ProbeOtherNode = "nrp-doctor-other.invalid"
	// unrelated is the name of objects that need not exist.
	unrelated = "nrp-doctor-unrelated"
)

// nonsense is a request that nothing grants on purpose.
func nonsense() authorization.Request {
	return authorization.Request{Verb: "nrp-doctor", Group: "nrp-doctor.invalid", Resource: "nothings"}
}

// own is the request that the Node authorizer allows every kubelet.
func own(node string) authorization.Request {
	return authorization.Request{Verb: "get", Resource: "nodes", Name: node}
}

// strangeSecret is the request whose refusal names the Node authorizer.
func strangeSecret() authorization.Request {
	return authorization.Request{Verb: "get", Resource: "secrets", Namespace: "kube-system", Name: unrelated}
}

// needed are requests that a kubelet cannot live without.
func needed(node string) []authorization.Request {
	return []authorization.Request{
		own(node),
		{Verb: "create", Resource: "nodes"},
		{Verb: "patch", Resource: "nodes", Subresource: "status", Name: node},
		{Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: nodeauthorizer.LeaseNamespace, Name: node},
		{Verb: "create", Group: "certificates.k8s.io", Resource: "certificatesigningrequests"},
	}
}

// minorOf returns the minor release of a version such as v1.37.2+k3s1, or the newest one that is known.
func minorOf(version string) (int, bool) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 || parts[0] != "1" {
		return nodeauthorizer.Newest, false
	}
	minor, err := strconv.Atoi(strings.TrimRight(parts[1], "+"))
	return minor, err == nil
}

// Questions returns what to ask an API server of a version about a kubelet: what it needs, and what the Node authorizer refuses.
func Questions(version, node string) []authorization.Request {
	minor, _ := minorOf(version)
	table, err := nodeauthorizer.New(max(minor, nodeauthorizer.Oldest), nil)
	if err != nil {
		return nil
	}
	names := &nodeauthorizer.Names{Node: node, OtherNode: ProbeOtherNode, Namespace: "kube-system", Unrelated: unrelated}
	requests := append([]authorization.Request{nonsense(), strangeSecret()}, needed(node)...)
	for _, cell := range table.Cells() {
		if cell.Intent != nodeauthorizer.Refused || cell.Danger < nodeauthorizer.Medium {
			continue
		}
		if r, ok := cell.Request(names); ok && !slices.Contains(requests, r) {
			requests = append(requests, r)
		}
	}
	return requests
}

// isNeeded reports whether a request is one of [needed].
func isNeeded(a *Answer) bool { return slices.Contains(needed(a.Node), a.Request) }

// access are the permissions to ask about others.
func access() authorization.Request {
	return authorization.Request{Verb: "create", Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}
}

// table returns what the Node authorizer of the API server intends; of the newest one if its version is not known.
func (s *Snapshot) table(f *Finding) (*nodeauthorizer.Table, bool) {
	minor := nodeauthorizer.Newest
	if s.Versions.Unknown == nil && len(s.Versions.Value) > 0 {
		minor, _ = minorOf(s.Versions.Value[0])
	}
	table, err := nodeauthorizer.New(max(minor, nodeauthorizer.Oldest), nil)
	if err != nil {
		f.cannot("%v", err)
	}
	return table, err == nil
}
