// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// withClientCA makes the server ask for certificates of ca with the name api-server.
func withClientCA(t *testing.T, file string) func(*rig, *Options) {
	t.Helper()
	return func(_ *rig, o *Options) {
		clients, err := NewClientCA(file, []string{"other", "api-server"}, logr.Discard())
		if err != nil {
			t.Fatal(err)
		}
		clients.interval = 20 * time.Millisecond
		o.ClientCA = clients
	}
}

// connects reports whether a client with the certificate gets an answer.
func (r *rig) connects(t *testing.T, certs ...tls.Certificate) bool {
	t.Helper()
	client := r.client(t, func(c *tls.Config) { c.Certificates = certs })
	response, err := client.Post(r.url(), "application/json", strings.NewReader("{}"))
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func TestClientCertificates(t *testing.T) {
	ca, foreign := newTestCA(t, "cluster"), newTestCA(t, "foreign")
	file := filepath.Join(t.TempDir(), "ca.crt")
	writeFile(t, file, certPEM(ca.cert))
	called := 0
	r := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called++ }), withClientCA(t, file))

	kubelet := func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "system:node:worker-1", Organization: []string{"system:nodes"}}
	}
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	for _, test := range []struct {
		name  string
		certs []tls.Certificate
		want  bool
	}{
		{"a client without a certificate is refused", nil, false},
		{"a kubelet's own certificate is refused", []tls.Certificate{ca.leaf(t, "", kubelet).tls(t)}, false},
		{"a name from another CA is refused", []tls.Certificate{foreign.leaf(t, "api-server").tls(t)}, false},
		{"a name in another case is refused", []tls.Certificate{ca.leaf(t, "API-server").tls(t)}, false},
		{"an expired certificate is refused", []tls.Certificate{ca.leaf(t, "api-server", expired).tls(t)}, false},
		{"a server's certificate is refused", []tls.Certificate{ca.leaf(t, "api-server", serverOnly).tls(t)}, false},
		{"an allowed name may connect", []tls.Certificate{ca.leaf(t, "api-server").tls(t)}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := called
			if got := r.connects(t, test.certs...); got != test.want {
				t.Errorf("connected: %v", got)
			}
			if !test.want && called != before {
				t.Error("the handler was called")
			}
		})
	}
	if n := r.metric(t, "node_restriction_plus_connection_errors_total"); n == 0 {
		t.Error("the refused handshakes are not counted")
	}
}

func TestClientCAIsReloaded(t *testing.T) {
	before, after := newTestCA(t, "before"), newTestCA(t, "after")
	old, fresh := before.leaf(t, "api-server").tls(t), after.leaf(t, "api-server").tls(t)
	file := filepath.Join(t.TempDir(), "ca.crt")
	writeFile(t, file, certPEM(before.cert))
	r := start(t, http.HandlerFunc(echo), withClientCA(t, file))
	if !r.connects(t, old) || r.connects(t, fresh) {
		t.Fatal("only the first CA should be trusted")
	}
	writeFile(t, file, certPEM(before.cert, after.cert))
	eventually(t, "both CAs are trusted", func() bool { return r.connects(t, old) && r.connects(t, fresh) })

	writeFile(t, file, []byte("no certificate"))
	eventually(t, "a reload error is counted", func() bool {
		return r.metric(t, "node_restriction_plus_certificate_reload_errors_total") > 0
	})
	if !r.connects(t, old) || !r.connects(t, fresh) {
		t.Error("the last good CAs are no longer trusted")
	}
	writeFile(t, file, certPEM(after.cert))
	eventually(t, "the old CA is no longer trusted", func() bool { return !r.connects(t, old) && r.connects(t, fresh) })
}

func TestNewClientCARefusesWhatWouldLetEverybodyIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	writeFile(t, file, certPEM(newTestCA(t, "cluster").cert))
	for name, names := range map[string][]string{"no names": nil, "an empty name": {"a", ""}} {
		if _, err := NewClientCA(file, names, logr.Discard()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewClientCA(file+".missing", []string{"a"}, logr.Discard()); err == nil {
		t.Error("a missing file: no error")
	}
}
