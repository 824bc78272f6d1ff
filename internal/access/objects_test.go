// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"errors"
	"net/http"
	"testing"

	"noderestriction.plus/internal/authorization"
)

type sent struct{}

var errSent = errors.New("sent")

func (sent) RoundTrip(*http.Request) (*http.Response, error) { return nil, errSent }

// TestGuard tests that nothing leaves the program that could write.
func TestGuard(t *testing.T) {
	const base = "https://127.0.0.1/base"
	for _, test := range []struct {
		method, url string
		passes      bool
	}{
		{http.MethodGet, base + "/api/v1/nodes", true},
		{http.MethodGet, "https://127.0.0.1/api/v1/nodes", false},
		{http.MethodPost, base + "/apis/authorization.k8s.io/v1/subjectaccessreviews", true},
		{http.MethodPost, base + "/api/v1/nodes?dryRun=All", true},
		{http.MethodPost, base + "/api/v1/nodes", false},
		{http.MethodPost, base + "/api/v1/nodes?dryRun=", false},
		{http.MethodPost, base + "/api/v1/nodes?dryRun=All&dryRun=", false},
		{http.MethodPost, base + "/api/v1/nodes/a/proxy?dryRun=All", false},
		{http.MethodPost, base + "/api/v1/namespaces/a/serviceaccounts/b/token?dryRun=All", false},
		{http.MethodPut, base + "/api/v1/nodes?dryRun=All", false},
		{http.MethodDelete, base + "/api/v1/nodes?dryRun=All", false},
	} {
		r, err := http.NewRequestWithContext(t.Context(), test.method, test.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&guard{base: "/base", next: sent{}}).RoundTrip(r)
		if response != nil {
			response.Body.Close()
		}
		if errors.Is(err, errSent) != test.passes {
			t.Errorf("%s %s: %v, want it to pass: %t", test.method, test.url, err, test.passes)
		}
	}
}

func TestPathOf(t *testing.T) {
	for want, r := range map[string]authorization.Request{
		"/api/v1/nodes":                                   {Resource: "nodes"},
		"/apis/apps/v1/namespaces/a/deployments":          {Group: "apps", Namespace: "a", Resource: "deployments"},
		"/api/v1/namespaces/a/configmaps/b":               {Namespace: "a", Resource: "configmaps", Name: "b"},
		"/api/v1/nodes/n/proxy/configz":                   {Resource: "nodes", Name: "n", Subresource: "proxy/configz"},
		"/apis/rbac.authorization.k8s.io/v1/rolebindings": {Group: "rbac.authorization.k8s.io", Resource: "rolebindings"},
	} {
		if got := pathOf(&r, ""); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
