// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// access is a request that may be sent.
type access struct {
	method      string
	resource    string // with its group
	subresource string
}

// allowed returns every request that the command sends. None but GET is sent without dryRun=All.
//
// Not on the list is serviceaccounts/token, for which the API server ignores dryRun, and nothing that reads secrets, logs or runs
// commands.
func allowed() []access {
	return []access{
		{http.MethodGet, "nodes", ""},
		{http.MethodGet, "pods", ""},
		{http.MethodGet, policiesResource, ""},
		{http.MethodPost, "selfsubjectreviews.authentication.k8s.io", ""}, // reads who the user is

		{http.MethodPost, "nodes", ""},
		{http.MethodPatch, "nodes", ""},
		{http.MethodDelete, "nodes", ""},
		{http.MethodPatch, "nodes", "status"},
		{http.MethodPost, "pods", ""},
		{http.MethodDelete, "pods", ""},
		{http.MethodPatch, "pods", "status"},
		{http.MethodPost, "pods", "eviction"},
		{http.MethodPost, "pods", "binding"},
		{http.MethodPost, "events", ""},
		{http.MethodPatch, "persistentvolumeclaims", "status"},
		{http.MethodPatch, "leases.coordination.k8s.io", ""},
		{http.MethodPost, "csinodes.storage.k8s.io", ""},
		{http.MethodPost, "resourceslices.resource.k8s.io", ""},
		{http.MethodPost, "certificatesigningrequests.certificates.k8s.io", ""},
		{http.MethodPost, "podcertificaterequests.certificates.k8s.io", ""},
		{http.MethodPost, "clusterrolebindings.rbac.authorization.k8s.io", ""},
	}
}

// allowedAgents is the list for attacks of node agents.
func allowedAgents() []access {
	return []access{
		{http.MethodGet, "nodes", ""},
		{http.MethodGet, "pods", ""},
		{http.MethodGet, policiesResource, ""},
		{http.MethodPost, "selfsubjectreviews.authentication.k8s.io", ""},

		{http.MethodPatch, "nodes", ""},
		{http.MethodDelete, "nodes", ""},
		{http.MethodPatch, "nodes", "status"},
		{http.MethodPost, "pods", ""},
		{http.MethodPatch, "pods", ""},
		{http.MethodDelete, "pods", ""},
		{http.MethodPatch, "pods", "status"},
		{http.MethodPost, "pods", "eviction"},
		{http.MethodPost, "resourceslices.resource.k8s.io", ""},
	}
}

// policiesResource is the resource of policies, with its group.
const policiesResource = "noderestrictionpolicies.noderestriction.plus"

// versionPath is the path of the version of the API server, which may also be read.
const versionPath = "/version"

// guard refuses every request that is not allowed, before it leaves the program.
type guard struct {
	base  string // path of the server's URL, without a slash at the end
	next  http.RoundTripper
	agent bool // the requests are those of a node agent
}

// RoundTrip implements [http.RoundTripper].
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.check(r); err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("this request is never sent: %s %q: %w", r.Method, r.URL.Path, err)
	}
	return g.next.RoundTrip(r)
}

func (g *guard) check(r *http.Request) error {
	below, found := strings.CutPrefix(r.URL.Path, g.base)
	if !found || r.URL.RawPath != "" {
		return fmt.Errorf("it is not below the server's URL, or has an escaped path")
	}
	if r.Method == http.MethodGet && below == versionPath {
		return nil
	}
	wanted, err := accessOf(r.Method, below)
	if err != nil {
		return err
	}
	list := allowed()
	if g.agent {
		list = allowedAgents()
	}
	if !slices.Contains(list, wanted) {
		return fmt.Errorf("it is not on the list")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	switch {
	case err != nil:
		return err
	case r.Method == http.MethodGet:
		return nil
	case !slices.Equal(query["dryRun"], []string{"All"}):
		return fmt.Errorf("it is no dry run")
	case r.Method == http.MethodDelete && r.Body != nil && r.Body != http.NoBody:
		return fmt.Errorf("a body replaces the query, and with it dryRun")
	}
	return nil
}

// accessOf reads a path such as /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker-1.
func accessOf(method, path string) (access, error) {
	a := access{method: method}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, part := range parts {
		if part == "" || part == "." || part == ".." {
			return a, fmt.Errorf("the path is not canonical")
		}
	}
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[1:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = parts[1], parts[2:]
	default:
		return a, fmt.Errorf("the path has no object")
	}
	if version, known := versions()[group]; !known || version != parts[0] {
		return a, fmt.Errorf("the group or its version is not on the list")
	}
	parts = parts[1:]
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if len(parts) > 3 {
		return a, fmt.Errorf("the path is too long")
	}
	a.resource = parts[0]
	if group != "" {
		a.resource += "." + group
	}
	if len(parts) == 3 {
		a.subresource = parts[2]
	}
	return a, nil
}
