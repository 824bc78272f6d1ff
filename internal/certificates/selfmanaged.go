// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package certificates issues the webhook's serving certificate from a CA that all replicas share, and keeps the bundles of the
// webhook configuration such that API servers trust it.
//
// A CA is rotated without a failed call, because the order is always this one, and each replica follows it independently:
//
//  1. One replica writes the new CA to the Secret; the resourceVersion of the Secret decides which one.
//  2. Each replica that reads it there makes sure that it is in the bundles, beside the old one. One write is enough; the
//     others find nothing to add. Each continues to serve the certificate that it has, from the old CA.
//  3. Each replica has a certificate from the new CA, but serves it only once that CA has been in every bundle for some
//     seconds, in which all API servers learn about it, and once the CA is valid by clocks that are behind.
//  4. The old CA stays in the bundles until it expires, so that a replica that is late is trusted all the while.
//
// A replica that starts in between has only a certificate from the new CA. It is not ready before the bundles have that CA.
//
// This is crypto/x509 and no library. cert-manager's pkg/server/tls links LDAP and NTLM into the program, and its certificates are
// not valid for clocks that are behind. open-policy-agent/cert-controller replaces the bundle instead of adding to it, so that
// calls fail during a rotation.
package certificates

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"

	"noderestriction.plus/internal/faultlog"
	"noderestriction.plus/internal/server"
)

// interval is how often time-dependent work is checked. Changes are handled immediately.
const interval = time.Second

// The faults.
const (
	cannotKeep  = "Cannot keep the CA of the serving certificate in its Secret"
	unusable    = "The Secret has no usable CA for the serving certificate"
	cannotIssue = "Cannot issue the serving certificate"
	cannotWrite = "Cannot write the CA of the serving certificate to the webhook configuration"
)

// Options says what is issued and where its CA is kept.
type Options struct {
	// Config is the connection to the API server. It needs permission to list, watch, update and create the Secret, and to
	// list, watch and patch the configuration.
	Config *rest.Config
	// Secret is the Secret with the CA. It is created if it does not exist.
	Secret types.NamespacedName
	// DNSNames are the names in the certificate, at least one.
	DNSNames []string
	// Configuration is the name of the ValidatingWebhookConfiguration whose bundles get the CA. It need not exist.
	Configuration string
	// NewInformer makes an informer of the objects of a source, which retries automatically.
	NewInformer func(
		source toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers,
	) toolscache.SharedIndexInformer
	// Log receives changes and faults.
	Log logr.Logger
}

// SelfManaged is a serving certificate that the webhook issues itself. While the API server is unavailable, or forbids
// what is needed, the last certificate is served and renewed until its CA expires.
type SelfManaged struct {
	log           logr.Logger
	faults        *faultlog.Log
	failures      atomic.Uint64
	dnsNames      []string
	secret        *caSecret
	configuration *configuration
	changed       chan struct{} // has an element if there is something new to read

	// These belong to the goroutine of Start.
	gate   gate
	newest *leaf

	state atomic.Pointer[state]
}

// state is what other goroutines may read. It is never changed.
type state struct {
	served  *tls.Certificate // nil: none
	problem error            // why API servers may refuse served, or why it is nil; nil: they accept it
}

var _ server.CertificateSource = &SelfManaged{}

// New prepares a certificate. It does not contact the API server.
func New(o Options) (*SelfManaged, error) {
	client, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, err
	}
	s := &SelfManaged{log: o.Log, faults: faultlog.New(o.Log), dnsNames: o.DNSNames, changed: make(chan struct{}, 1)}
	s.state.Store(&state{problem: errors.New("there is no serving certificate yet")})
	wake := func() {
		select {
		case s.changed <- struct{}{}:
		default: // it is awake already
		}
	}
	if s.secret, err = newCASecret(o, client, wake); err != nil {
		return nil, err
	}
	if s.configuration, err = newConfiguration(o, client, wake); err != nil {
		return nil, err
	}
	return s, nil
}

// report counts an error, and logs it unless it persists; nil is a success.
func (s *SelfManaged) report(fault string, err error) {
	if err != nil {
		s.failures.Add(1)
	}
	s.faults.Report(fault, err)
}

// Start implements [server.CertificateSource]. It returns nil.
func (s *SelfManaged) Start(ctx context.Context) error {
	var informers sync.WaitGroup
	defer informers.Wait()
	informers.Go(func() { s.secret.informer.RunWithContext(ctx) })
	informers.Go(func() { s.configuration.informer.RunWithContext(ctx) })

	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		case <-tick.C:
		}
		s.step(ctx, time.Now())
	}
}

// step does what is due at a time: it serves a newer certificate, and writes the Secret and the bundles. Writes are last, because
// they may wait for the API server.
func (s *SelfManaged) step(ctx context.Context, now time.Time) {
	s.readSecret(now)
	s.issue(now)
	seen := s.configuration.observe()
	before := s.gate.served
	s.gate.offer(s.newest, s.newest != nil && seen.trusts(s.newest.ca), now)
	if served := s.gate.served; served != before {
		s.log.Info("Serving a new certificate", "serial", served.Leaf.SerialNumber.Text(16), "expires", served.Leaf.NotAfter.UTC(),
			"caSerial", served.ca.SerialNumber.Text(16))
	}
	s.publish(seen, now)
	s.writeBundles(ctx, seen, now)
	s.writeSecret(ctx, now)
}

// readSecret takes the CA from the Secret if that has changed.
func (s *SelfManaged) readSecret(now time.Time) {
	if stored := s.secret.stored(); stored != nil && stored.ResourceVersion != s.secret.version {
		s.report(unusable, s.secret.read(stored, now))
	}
}

// issue issues a certificate if one is due. It does not need the API server.
func (s *SelfManaged) issue(now time.Time) {
	if s.secret.current == nil || !s.secret.current.replaces(s.newest, now) {
		return
	}
	issued, err := s.secret.current.issue(s.dnsNames, now)
	s.report(cannotIssue, err)
	if err == nil {
		s.newest = issued
	}
}

// writeSecret creates the Secret, or rotates the CA in it, if that is due.
func (s *SelfManaged) writeSecret(ctx context.Context, now time.Time) {
	stored := s.secret.stored()
	if !s.secret.informer.HasSynced() || stored != nil && stored.ResourceVersion != s.secret.version {
		return // not known yet, or newer than what was read
	}
	reason := s.secret.rotationReason(stored, now)
	if reason == "" {
		s.report(cannotKeep, nil)
		return
	}
	wrote, err := s.secret.write(ctx, stored, now)
	if wrote {
		s.log.Info("Wrote a new CA for the serving certificate to its Secret", "secret", s.secret.name.String(), "reason", reason)
	}
	if err != nil {
		s.report(cannotKeep, err)
	}
}

// writeBundles adds what they need to the bundles.
func (s *SelfManaged) writeBundles(ctx context.Context, seen observed, now time.Time) {
	operations := seen.patch(s.needed(), now)
	if operations == nil {
		s.report(cannotWrite, nil)
		return
	}
	wrote, err := s.configuration.write(ctx, seen.version, operations, now)
	if wrote {
		s.log.Info("Wrote the CA of the serving certificate to the webhook configuration", "name", s.configuration.name)
	}
	if err != nil {
		s.report(cannotWrite, err)
	}
}

// needed returns the CAs that must be in the bundles: the one in the Secret, and that of the served certificate.
func (s *SelfManaged) needed() bundle {
	var needed bundle
	if s.gate.served != nil {
		needed = append(needed, s.gate.served.ca)
	}
	if s.secret.current != nil && !needed.has(s.secret.current.cert) {
		needed = append(needed, s.secret.current.cert)
	}
	return needed
}

// publish makes the state available to other goroutines.
func (s *SelfManaged) publish(seen observed, now time.Time) {
	served := s.gate.served
	if served == nil {
		return
	}
	problem := s.gate.check(seen.trusts(served.ca), now)
	if !seen.known {
		problem = errors.New("the webhook configuration has not been read yet")
	}
	s.state.Store(&state{served: served.Certificate, problem: problem})
}

// GetCertificate implements [server.CertificateSource].
func (s *SelfManaged) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if current := s.state.Load(); current.served != nil {
		return current.served, nil
	}
	return nil, errors.New("there is no serving certificate yet")
}

// Check implements [server.CertificateSource]. It also fails if API servers may not trust the certificate, that is until the
// webhook configuration has its CA. A configuration that does not exist is not waited for.
func (s *SelfManaged) Check(*http.Request) error {
	current := s.state.Load()
	if current.problem != nil {
		return current.problem
	}
	return server.CheckChain(current.served, time.Now())
}

// Expiry implements [server.CertificateSource].
func (s *SelfManaged) Expiry() time.Time {
	if current := s.state.Load(); current.served != nil {
		return server.ChainExpiry(current.served)
	}
	return time.Time{}
}

// RenewalErrors implements [server.CertificateSource]. It counts failures to issue a certificate, and to read or write its CA.
func (s *SelfManaged) RenewalErrors() uint64 { return s.failures.Load() }
