// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package certificates has the program issue its own serving certificate, of an authority that all replicas share, and
// keeps the bundles of the webhook configuration such that API servers trust it.
//
// An authority is exchanged without a failed call, because the order is always this one, in which every replica goes by
// itself:
//
//  1. One replica puts the new authority into the Secret; the version of the Secret decides which one.
//  2. Each replica that sees it there sees to it that it is in the bundles, beside the old one. One write is enough;
//     the others find that there is nothing to add. Each goes on to serve the certificate that it has, of the old
//     authority.
//  3. Each replica has a certificate of the new authority, but serves it only once it has seen that authority in every
//     bundle for some seconds, in which all API servers learn of it, and once the authority counts as valid by clocks
//     that are behind.
//  4. The old authority stays in the bundles until it expires, so that a replica that is late is trusted all the while.
//
// A replica that starts meanwhile has nothing but a certificate of the new authority. It is not ready before the
// bundles have that.
package certificates

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	servertls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"

	"noderestriction.plus/internal/server"
)

// interval is how often what depends on the time is looked at. Changes are seen at once.
const interval = time.Second

// What may go wrong.
const (
	cannotKeep  = "cannot keep the authority of the serving certificate in its Secret"
	unusable    = "the Secret has no authority for the serving certificate"
	cannotIssue = "cannot issue the serving certificate"
	cannotWrite = "cannot put the authority of the serving certificate into the webhook configuration"
)

// Options say what is issued and where its authority is kept.
type Options struct {
	// Config is the connection to the API server. It may list, watch, update and create the Secret, and list, watch and
	// patch the configuration.
	Config *rest.Config
	// Secret is that with the authority. It is made if it is not there.
	Secret types.NamespacedName
	// DNSNames are those of the certificate, at least one.
	DNSNames []string
	// Configuration is the name of the ValidatingWebhookConfiguration whose bundles get the authority. It need not be
	// there.
	Configuration string
	// NewInformer makes an informer of the objects of a source, which retries by itself.
	NewInformer func(
		source toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers,
	) toolscache.SharedIndexInformer
	// Log receives changes and troubles.
	Log logr.Logger
}

// SelfManaged is a serving certificate that this program issues itself. While the API server is away, or forbids what
// is needed, the last certificate is served and renewed, for as long as its authority is valid.
type SelfManaged struct {
	log           logr.Logger
	trouble       *trouble
	authority     *sharedAuthority
	source        *servertls.DynamicSource
	configuration *configuration
	changed       chan struct{}

	// These are for the goroutine of Start.
	gate   gate
	newest *leaf

	state atomic.Pointer[state]
}

// state is what others may know. It is never changed.
type state struct {
	served  *tls.Certificate // nil: none
	problem error            // why there is none, or why API servers may refuse it; nil: they accept it
}

var _ server.CertificateSource = &SelfManaged{}

// New prepares a certificate. It does not ask the API server for anything.
func New(o Options) (*SelfManaged, error) {
	client, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, err
	}
	s := &SelfManaged{log: o.Log, trouble: &trouble{log: o.Log}, changed: make(chan struct{}, 1)}
	s.state.Store(&state{problem: errors.New("there is no serving certificate yet")})
	wake := func() {
		select {
		case s.changed <- struct{}{}:
		default: // it is awake already
		}
	}
	if s.authority, err = newSharedAuthority(o, client, wake, s.usable); err != nil {
		return nil, err
	}
	if s.configuration, err = newConfiguration(o, client, wake); err != nil {
		return nil, err
	}
	s.source = &servertls.DynamicSource{DNSNames: o.DNSNames, Authority: s.authority, RetryInterval: interval}
	return s, nil
}

// usable is told why the Secret is of no use, nil if it is.
func (s *SelfManaged) usable(err error) {
	s.trouble.report(unusable, err)
	if err == nil {
		s.trouble.report(cannotKeep, nil)
	}
}

// Start implements [server.CertificateSource]. It returns nil.
func (s *SelfManaged) Start(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { s.authority.secret.RunWithContext(ctx) })
	parts.Go(func() { s.configuration.informer.RunWithContext(ctx) })
	parts.Go(func() { s.issue(ctx) })

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

// issue runs what signs and renews certificates. Should it ever end, it is started again: what is served stays.
func (s *SelfManaged) issue(ctx context.Context) {
	ctx = logr.NewContext(ctx, s.trouble.libraryLog(cannotKeep))
	for {
		err := s.source.Start(ctx)
		if err == nil {
			err = errors.New("it ended")
		}
		if ctx.Err() != nil {
			return
		}
		s.trouble.report(cannotIssue, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(maxRetry):
		}
	}
}

// step does what is to be done at a moment: serve a newer certificate, and add to the bundles.
func (s *SelfManaged) step(ctx context.Context, now time.Time) {
	seen := s.configuration.observe()
	s.findNewest()
	before := s.gate.served
	s.gate.offer(s.newest, s.newest != nil && seen.trusts(s.newest.authority), now)
	served := s.gate.served
	if served != before {
		s.log.Info("Serving another certificate", "serial", served.Leaf.SerialNumber.Text(16), "expires", served.Leaf.NotAfter.UTC(),
			"authority", served.authority.SerialNumber.Text(16))
	}
	s.publish(seen, now)
	s.write(ctx, seen, now)
}

// write adds to the bundles what they need.
func (s *SelfManaged) write(ctx context.Context, seen observed, now time.Time) {
	operations := seen.patch(s.needed(), now)
	if operations == nil {
		s.trouble.report(cannotWrite, nil)
		return
	}
	wrote, err := s.configuration.write(ctx, seen.version, operations, now)
	if wrote {
		s.log.Info("Put the authority of the serving certificate into the webhook configuration", "name", s.configuration.name)
	}
	if err != nil {
		s.trouble.report(cannotWrite, err)
	}
}

// findNewest takes over what was signed last.
func (s *SelfManaged) findNewest() {
	cert, err := s.source.GetCertificate(nil)
	if err != nil || s.newest != nil && s.newest.Certificate == cert {
		return
	}
	if signer := s.authority.signer(cert.Leaf); signer != nil {
		s.newest = &leaf{cert, signer}
	}
}

// needed are the authorities that must be in the bundles: that of the Secret, and that of what is served.
func (s *SelfManaged) needed() bundle {
	var needed bundle
	if s.gate.served != nil {
		needed = append(needed, s.gate.served.authority)
	}
	if current := s.authority.cert(); current != nil && !needed.has(current) {
		needed = append(needed, current)
	}
	return needed
}

// publish tells others where things stand.
func (s *SelfManaged) publish(seen observed, now time.Time) {
	served := s.gate.served
	if served == nil {
		return
	}
	problem := s.gate.check(seen.trusts(served.authority), now)
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

// Check implements [server.CertificateSource]. It fails as well if API servers may not trust the certificate, which is
// so until the webhook configuration has been seen to have its authority. A configuration that is not there is none to
// wait for.
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

// RenewalErrors implements [server.CertificateSource]. It counts what fails of issuing, and of writing the authority.
func (s *SelfManaged) RenewalErrors() uint64 { return s.trouble.count.Load() }
