// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// served is the chain that a new connection gets.
func (r *rig) served(t *testing.T) [][]byte {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(r.ca.cert)
	conn, err := tls.Dial("tcp", r.Address().String(), &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var chain [][]byte
	for _, c := range conn.ConnectionState().PeerCertificates {
		chain = append(chain, c.Raw)
	}
	return chain
}

func (r *rig) serves(t *testing.T, p pair) func() bool {
	t.Helper()
	want := p.tls(t).Certificate
	return func() bool {
		return slices.EqualFunc(r.served(t), want, func(a, b []byte) bool { return string(a) == string(b) })
	}
}

func TestCertificateIsReloadedWhenASecretVolumeChanges(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	for range 3 {
		next := r.ca.leaf(t, "server")
		r.folder.mount(t, next)
		eventually(t, "the new certificate is served", r.serves(t, next))
	}
	if n := r.metric(t, "node_restriction_plus_certificate_reload_errors_total"); n != 0 {
		t.Errorf("%v reload errors", n)
	}
}

func TestKeyBeforeItsCertificateKeepsTheOldPair(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	old := r.served(t)
	next := r.ca.leaf(t, "server")
	data := filepath.Join(r.folder.dir, "..data")
	writeFile(t, filepath.Join(data, "tls.key"), next.key)
	eventually(t, "a reload error is counted", func() bool {
		return r.metric(t, "node_restriction_plus_certificate_reload_errors_total") > 0
	})
	if now := r.served(t); string(now[0]) != string(old[0]) {
		t.Error("the old certificate is not served any more")
	}
	writeFile(t, filepath.Join(data, "tls.crt"), next.cert)
	eventually(t, "the new certificate is served", r.serves(t, next))
}

func TestMissingFilesKeepTheOldPair(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	old := r.served(t)
	if err := os.RemoveAll(filepath.Join(r.folder.dir, "..data")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a reload error is counted", func() bool {
		return r.metric(t, "node_restriction_plus_certificate_reload_errors_total") > 0
	})
	if now := r.served(t); string(now[0]) != string(old[0]) {
		t.Error("the old certificate is not served any more")
	}
	next := r.ca.leaf(t, "server")
	r.folder.mount(t, next)
	eventually(t, "the new certificate is served", r.serves(t, next))
}

func TestChangeOfTheIntermediateAloneIsServed(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	first := r.ca.ca(t, "intermediate")
	leaf := first.leaf(t, "server")
	withFirst := pair{cert: append(slices.Clone(leaf.cert), certPEM(first.cert)...), key: leaf.key}
	r.folder.mount(t, withFirst)
	eventually(t, "the chain is served", r.serves(t, withFirst))

	// The same intermediate CA, certified again.
	renewed := *first.cert
	renewed.NotAfter = renewed.NotAfter.Add(time.Hour)
	raw, err := x509.CreateCertificate(rand.Reader, &renewed, r.ca.cert, &first.key.PublicKey, r.ca.key)
	if err != nil {
		t.Fatal(err)
	}
	second, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	withSecond := pair{cert: append(slices.Clone(leaf.cert), certPEM(second)...), key: leaf.key}
	r.folder.mount(t, withSecond)
	eventually(t, "the chain with the new intermediate is served", r.serves(t, withSecond))

	// The watcher that replaced the first one sees changes as well.
	next := r.ca.leaf(t, "server")
	r.folder.mount(t, next)
	eventually(t, "the next certificate is served", r.serves(t, next))
}

func TestReadinessFollowsTheCertificate(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	certificates := r.options.Certificates
	leaf, err := certificates.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	from, until := leaf.Leaf.NotBefore, leaf.Leaf.NotAfter
	for name, test := range map[string]struct {
		now  time.Time
		want string
	}{
		"ready while it is valid":               {now: from.Add(time.Minute)},
		"ready five minutes before it expires":  {now: until.Add(-minRemaining)},
		"not ready a moment later":              {now: until.Add(-minRemaining + time.Second), want: "expires at"},
		"not ready once it has expired":         {now: until.Add(time.Second), want: "expires at"},
		"not ready while it is not valid yet":   {now: from.Add(-time.Second), want: "is not valid before"},
		"not ready by the clock of another age": {now: time.Unix(0, 0), want: "is not valid before"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckChain(leaf, test.now)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if got := r.metric(t, "node_restriction_plus_certificate_expiry_timestamp_seconds"); got != float64(until.Unix()) {
		t.Errorf("expiry metric is %v, want %v", got, until.Unix())
	}

	short := r.ca.leaf(t, "server", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) })
	r.folder.mount(t, short)
	eventually(t, "readiness fails before the certificate expires", func() bool { return certificates.Check(nil) != nil })
	r.folder.mount(t, r.ca.leaf(t, "server"))
	eventually(t, "readiness recovers without a restart", func() bool { return certificates.Check(nil) == nil })
}

func TestExpiryIsThatOfTheWholeChain(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	soon := r.ca.ca(t, "intermediate")
	leaf := soon.leaf(t, "server", func(c *x509.Certificate) { c.NotAfter = soon.cert.NotAfter.Add(time.Hour) })
	chain := pair{cert: append(slices.Clone(leaf.cert), certPEM(soon.cert)...), key: leaf.key}
	r.folder.mount(t, chain)
	eventually(t, "the chain is served", r.serves(t, chain))
	if got := r.options.Certificates.Expiry(); !got.Equal(soon.cert.NotAfter) {
		t.Errorf("got %s, want %s", got, soon.cert.NotAfter)
	}
}

func TestNewCertificatesNeedsAPair(t *testing.T) {
	ca := newTestCA(t, "CA")
	folder := t.TempDir()
	for name, content := range map[string]pair{
		"no PEM":      {cert: []byte("x"), key: []byte("y")},
		"not a match": {cert: ca.leaf(t, "a").cert, key: ca.leaf(t, "b").key},
	} {
		writeFile(t, filepath.Join(folder, "tls.crt"), content.cert)
		writeFile(t, filepath.Join(folder, "tls.key"), content.key)
		if _, err := NewCertificates(folder, logr.Discard()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewCertificates(t.TempDir(), logr.Discard()); err == nil || !strings.Contains(err.Error(), "tls.crt") {
		t.Errorf("an empty directory: %v", err)
	}
}
