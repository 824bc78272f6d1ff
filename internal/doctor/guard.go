// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	reviewPath  = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	accessPath  = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
	nodesPath   = "/api/v1/nodes"
	metricsPath = "/metrics"
)

// guard refuses every request that could write something, before it leaves the program.
type guard struct {
	base string // path of the server's URL, without a slash at the end
	next http.RoundTripper
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
	switch {
	case !found || r.URL.RawPath != "" || strings.Contains(below, "//") || strings.Contains(below, "/../"):
		return fmt.Errorf("it is not below the server's URL, or its path is not canonical")
	case r.Method == http.MethodGet:
		return nil
	case r.Method != http.MethodPost:
		return fmt.Errorf("it is not on the list")
	case below == reviewPath || below == accessPath: // which store nothing
		return nil
	case below != nodesPath:
		return fmt.Errorf("it is not on the list")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if !slices.Equal(query["dryRun"], []string{"All"}) {
		return fmt.Errorf("it is no dry run")
	}
	return nil
}
