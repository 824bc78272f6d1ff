// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a running server with the CA of its certificate.
type rig struct {
	*Server
	ca       *testCA
	folder   *secretFolder
	registry *prometheus.Registry
	ended    chan error
	end      context.CancelFunc
}

// start runs a server; change may adapt it before.
func start(t *testing.T, handler http.Handler, change ...func(*rig, *Options)) *rig {
	t.Helper()
	ca := newTestCA(t, "server CA")
	r := &rig{
		ca: ca, folder: newSecretFolder(t, ca.leaf(t, "server")),
		registry: prometheus.NewRegistry(), ended: make(chan error, 1),
	}
	log := testr.New(t)
	certificates, err := NewCertificates(r.folder.dir, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	certificates.interval = 20 * time.Millisecond
	options := Options{
		Address: "127.0.0.1:0", Certificates: certificates, Handler: handler, Limits: DefaultLimits(32 << 20),
		Log: log, Registerer: r.registry,
	}
	for _, c := range change {
		c(r, &options)
	}
	if r.Server, err = New(options); err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.end = cancel
	go func() { r.ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := r.wait(t); err != nil {
			t.Errorf("the server ended with an error: %v", err)
		}
	})
	return r
}

// wait waits for the end of the server; it may be called more than once.
func (r *rig) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the server did not end")
		return nil
	}
}

func (r *rig) url() string { return "https://" + r.Address().String() }

// client returns a client that trusts the server's CA.
func (r *rig) client(t *testing.T, change ...func(*tls.Config)) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(r.ca.cert)
	config := &tls.Config{RootCAs: roots}
	for _, c := range change {
		c(config)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// post sends a body and returns status and body of the answer.
func post(t *testing.T, client *http.Client, url string, body io.Reader) (int, string) {
	t.Helper()
	response, err := client.Post(url, "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never came about: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// metric is the sum over the series of a metric.
func (r *rig) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// echo answers with the length of the body, or as the documentation of limited wants it done.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	tooLarge, busy := (*http.MaxBytesError)(nil), (*BusyError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	case errors.As(err, &busy):
		http.Error(w, busy.Error(), busy.StatusCode())
	case err != nil:
		http.Error(w, "unreadable", http.StatusBadRequest)
	default:
		_, _ = io.WriteString(w, strings.Repeat("x", min(len(body), 10)))
	}
}

func TestServerSpeaksOnlyHTTP1OverTLS13(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	response, err := r.client(t).Post(r.url(), "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.ProtoMajor != 1 || response.TLS.Version != tls.VersionTLS13 {
		t.Errorf("got HTTP/%d over TLS %x", response.ProtoMajor, response.TLS.Version)
	}
	old := r.client(t, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	if response, err := old.Get(r.url()); err == nil {
		response.Body.Close()
		t.Error("TLS 1.2 was accepted")
	}
}

func TestDrain(t *testing.T) {
	const delay = 300 * time.Millisecond
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-leave
		}
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	r := start(t, handler, func(_ *rig, o *Options) { o.ShutdownDelay = delay })
	eventually(t, "the server is ready", func() bool { return r.Check(nil) == nil })

	slow := make(chan int, 1)
	go func() {
		response, err := r.client(t).Get(r.url() + "/slow")
		if err != nil {
			slow <- 0
			return
		}
		response.Body.Close()
		slow <- response.StatusCode
	}()
	<-entered

	r.end()
	told := time.Now()
	eventually(t, "readiness fails", func() bool { return r.Check(nil) != nil })
	response, err := r.client(t).Get(r.url())
	if err != nil {
		t.Fatalf("a request during the shutdown delay failed: %v", err)
	}
	response.Body.Close()
	if !response.Close {
		t.Error("the connection stays open though the server drains")
	}
	refused := func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.Address().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	}
	eventually(t, "the listener closes", refused)
	if since := time.Since(told); since < delay {
		t.Errorf("the listener closed after %s, before the shutdown delay", since)
	}
	select {
	case <-r.ended:
		t.Fatal("the server ended before its last request")
	default:
	}
	close(leave)
	if code := <-slow; code != http.StatusOK {
		t.Errorf("the request in flight was answered with %d", code)
	}
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

func TestPanicIsAnsweredAndTheServerLivesOn(t *testing.T) {
	r := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("boom")
		}
	}))
	client := r.client(t)
	if code, answer := post(t, client, r.url()+"/panic", strings.NewReader("{}")); code != 500 ||
		strings.Contains(answer, "boom") {
		t.Errorf("got %d %q", code, answer)
	}
	if code, _ := post(t, client, r.url(), strings.NewReader("{}")); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
	if n := r.metric(t, "node_restriction_plus_listener_panics_total"); n != 1 {
		t.Errorf("%v panics counted", n)
	}
}

func TestListenSaysThatTheAddressIsInUse(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	options := r.options
	options.Address = r.Address().String()
	options.Registerer = prometheus.NewRegistry()
	second, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
}

func TestLimitsAreValidated(t *testing.T) {
	for name, change := range map[string]func(*Limits){
		"no connections":                     func(l *Limits) { l.MaxConnections = 0 },
		"no requests":                        func(l *Limits) { l.MaxInFlight = 0 },
		"bodies too small":                   func(l *Limits) { l.MaxBodyBytes = 1 },
		"no room for the largest body twice": func(l *Limits) { l.MaxBodyBytesInFlight = l.MaxBodyBytes },
	} {
		limits := DefaultLimits(32 << 20)
		change(&limits)
		if _, err := New(Options{Limits: limits}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
