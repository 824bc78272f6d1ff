// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// TestGuard checks which requests leave the program.
func TestGuard(t *testing.T) {
	for _, test := range []struct {
		name, method, target, body string
		sent                       bool
	}{
		{name: "a dry run", method: "PATCH", target: "/api/v1/nodes/a/status?dryRun=All", body: "{}", sent: true},
		{name: "a dry run below the path of a proxy", method: "POST", target: "/api/v1/nodes?dryRun=All", body: "{}", sent: true},
		{name: "a dry run of a deletion", method: "DELETE", target: "/api/v1/nodes/a?dryRun=All", sent: true},
		{name: "a read of a Node", method: "GET", target: "/api/v1/nodes/a", sent: true},
		{name: "a read of the version", method: "GET", target: "/version", sent: true},
		{name: "a write that is no dry run", method: "PATCH", target: "/api/v1/nodes/a/status", body: "{}"},
		{name: "an empty dry run", method: "PATCH", target: "/api/v1/nodes/a/status?dryRun=", body: "{}"},
		{name: "a dry run in other words", method: "PATCH", target: "/api/v1/nodes/a/status?dryRun=all", body: "{}"},
		{name: "a dry run that is said twice", method: "PATCH", target: "/api/v1/nodes/a/status?dryRun=All&dryRun=All", body: "{}"},
		{name: "a query that cannot be read", method: "PATCH", target: "/api/v1/nodes/a/status?dryRun=All;a", body: "{}"},
		{name: "a deletion with a body, which replaces the query", method: "DELETE", target: "/api/v1/nodes/a?dryRun=All", body: "{}"},
		{
			name: "a token, for which dryRun is ignored", method: "POST",
			target: "/api/v1/namespaces/a/serviceaccounts/b/token?dryRun=All", body: "{}",
		},
		{name: "an update", method: "PUT", target: "/api/v1/nodes/a?dryRun=All", body: "{}"},
		{name: "a read of secrets", method: "GET", target: "/api/v1/namespaces/a/secrets"},
		{name: "a read of logs", method: "GET", target: "/api/v1/namespaces/a/pods/b/log"},
		{name: "a command in a pod", method: "POST", target: "/api/v1/namespaces/a/pods/b/exec?dryRun=All", body: "{}"},
		{name: "a connection to a kubelet", method: "GET", target: "/api/v1/nodes/a/proxy"},
		{name: "a path beyond a subresource", method: "GET", target: "/api/v1/nodes/a/proxy/run"},
		{name: "another version of a group", method: "POST", target: "/apis/storage.k8s.io/v1beta1/csinodes?dryRun=All", body: "{}"},
		{name: "another group", method: "POST", target: "/apis/apps/v1/namespaces/a/pods?dryRun=All", body: "{}"},
		{name: "a path with an empty part", method: "GET", target: "/api/v1//nodes"},
		{name: "a path that goes up", method: "GET", target: "/api/v1/nodes/../nodes"},
		{name: "an escaped path", method: "GET", target: "/api/v1/nodes/a%2Fproxy"},
		{name: "no API at all", method: "GET", target: "/metrics"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sent := false
			base := ""
			if strings.Contains(test.name, "proxy") && test.sent {
				base = "/k8s/clusters/c"
			}
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent = true }))
			defer server.Close()
			c, err := newClient(&rest.Config{Host: server.URL + base}, false)
			if err != nil {
				t.Fatal(err)
			}
			var body *strings.Reader
			r, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+base+test.target, http.NoBody)
			if test.body != "" {
				body = strings.NewReader(test.body)
				r, err = http.NewRequestWithContext(t.Context(), test.method, server.URL+base+test.target, body)
			}
			if err != nil {
				t.Fatal(err)
			}
			response, err := c.http.Do(r)
			if err == nil {
				response.Body.Close()
			}
			if sent != test.sent || (err == nil) != test.sent {
				t.Errorf("sent %v (%v), want %v", sent, err, test.sent)
			}
			if !test.sent && !strings.Contains(err.Error(), "this request is never sent") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestGuardKnowsTheCatalogue checks that the guard lets every attack of the model pass, and nothing of it that is no dry run.
func TestGuardKnowsTheCatalogue(t *testing.T) {
	for _, a := range slices.Concat(Catalogue(), AgentCatalogue()) {
		g := &guard{agent: isAgents(&a)}
		w, _ := a.write(modelOf(&a))
		if w == nil {
			continue
		}
		for query, want := range map[string]bool{"?dryRun=All": true, "": false} {
			r, err := http.NewRequestWithContext(t.Context(), w.method, "https://127.0.0.1"+w.path()+query, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.check(r); (err == nil) != want {
				t.Errorf("%s: %s %s%s: %v", a.ID, w.method, w.path(), query, err)
			}
		}
	}
}

// TestRedirectsAreNotFollowed checks that no server can send the credential elsewhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/api/v1/nodes/b", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	c, err := newClient(&rest.Config{Host: server.URL}, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.get(t.Context(), "/api/v1/nodes/a", nil); err == nil || asked != 1 {
		t.Errorf("it asked %d times: %v", asked, err)
	}
}

// TestRetries checks that a busy server, or a write of the kubelet in between, is no failure, and that what lasts is one.
func TestRetries(t *testing.T) {
	for _, test := range []struct {
		name, busy string
		code, want int
	}{
		{"a server that is busy", `{"kind":"Status","details":{"retryAfterSeconds":1}}`, http.StatusTooManyRequests, 2},
		{"a conflict", `{"kind":"Status","reason":"Conflict"}`, http.StatusConflict, 2},
		{"an object that exists", `{"kind":"Status","reason":"AlreadyExists"}`, http.StatusConflict, 1},
		{"a disruption budget", `{"kind":"Status"}`, http.StatusTooManyRequests, 1},
		{"a denial", `{"kind":"Status"}`, http.StatusForbidden, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked++; asked == 1 {
					w.WriteHeader(test.code)
					_, _ = w.Write([]byte(test.busy)) // a client that is gone is the test's end
				}
			}))
			defer server.Close()
			c, err := newClient(&rest.Config{Host: server.URL}, false)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.send(t.Context(), http.MethodPost, "/api/v1/nodes", nil, jsonType, object{}); err != nil || asked != test.want {
				t.Errorf("it asked %d times, want %d: %v", asked, test.want, err)
			}
		})
	}
}
