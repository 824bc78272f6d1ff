// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	servertls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"github.com/cert-manager/cert-manager/pkg/util/pki"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"

	"noderestriction.plus/internal/program"
)

const (
	// commonName is that of the authority.
	commonName = program.Name + "-ca"

	// authorityLifetime is how long an authority is valid. It is exchanged after two thirds of that.
	authorityLifetime = 365 * 24 * time.Hour

	// leafLifetime is how long a certificate is valid. It is renewed after two thirds of that, which leaves ten days in
	// which renewal may fail.
	leafLifetime = 30 * 24 * time.Hour

	// minAuthority is how long an authority must still be valid to renew certificates. What it would sign after that
	// would live for too short a time to be worth it.
	minAuthority = 24 * time.Hour
)

// sharedAuthority is the authority of all replicas, in a Secret. cert-manager's DynamicAuthority keeps the Secret: it
// makes it if it is not there or of no use, and exchanges it in time. Whichever replica is first does so, and the
// others take what they find.
//
// Certificates are signed here and not by DynamicAuthority, whose certificates are valid from the moment at which they
// are signed: for an API server whose clock is behind they would not be valid yet.
type sharedAuthority struct {
	keeper *authority.DynamicAuthority
	secret toolscache.SharedIndexInformer
	// changed is called after the authority has changed.
	changed func()
	// unusable is told why the Secret is of no use, nil if it is.
	unusable func(error)

	mu       sync.Mutex
	current  *issuer // nil: none yet
	last     leaf    // what was signed last, without a key
	watchers []chan<- struct{}
}

// issuer is an authority with its key.
type issuer struct {
	cert *x509.Certificate
	key  crypto.PrivateKey
}

var _ servertls.Authority = &sharedAuthority{}

// newSharedAuthority makes the authority of a Secret. Its informer must be run.
func newSharedAuthority(o Options, client kubernetes.Interface, changed func(), unusable func(error)) (*sharedAuthority, error) {
	byName := fields.OneTermEqualSelector("metadata.name", o.Secret.Name)
	source := toolscache.NewListWatchFromClient(client.CoreV1().RESTClient(), "secrets", o.Secret.Namespace, byName)
	a := &sharedAuthority{
		keeper: &authority.DynamicAuthority{
			SecretNamespace: o.Secret.Namespace, SecretName: o.Secret.Name,
			SecretLabels: map[string]string{"app.kubernetes.io/name": program.Name},
			RESTConfig:   o.Config, CommonName: commonName, CADuration: authorityLifetime, LeafDuration: leafLifetime,
		},
		secret:  o.NewInformer(source, &corev1.Secret{}, 0, toolscache.Indexers{}),
		changed: changed, unusable: unusable,
	}
	_, err := a.secret.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    a.observe,
		UpdateFunc: func(_, object any) { a.observe(object) },
	})
	return a, err
}

// Run implements servertls.Authority.
func (a *sharedAuthority) Run(ctx context.Context) error { return a.keeper.Run(ctx) }

// observe takes the authority from the Secret. A Secret without one changes nothing: the keeper will put one there.
func (a *sharedAuthority) observe(object any) {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return
	}
	found, err := readIssuer(secret, time.Now())
	a.unusable(err)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != nil && a.current.cert.Equal(found.cert) {
		return
	}
	a.current = found
	for _, watcher := range a.watchers {
		select {
		case watcher <- struct{}{}:
		default: // it knows already
		}
	}
	a.changed()
}

// readIssuer reads the authority in a Secret, which is one that can sign.
func readIssuer(secret *corev1.Secret, now time.Time) (*issuer, error) {
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("no certificate with its key: %w", err)
	}
	if !pair.Leaf.IsCA {
		return nil, errors.New("the certificate is not that of an authority")
	}
	if !now.Before(pair.Leaf.NotAfter) {
		return nil, errors.New("the authority has expired")
	}
	return &issuer{cert: pair.Leaf, key: pair.PrivateKey}, nil
}

// WatchRotation implements servertls.Authority.
func (a *sharedAuthority) WatchRotation(watcher chan<- struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchers = append(a.watchers, watcher)
}

// StopWatchingRotation implements servertls.Authority.
func (a *sharedAuthority) StopWatchingRotation(watcher chan<- struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchers = slices.DeleteFunc(a.watchers, func(w chan<- struct{}) bool { return w == watcher })
}

// Sign implements servertls.Authority. It does not need the API server.
func (a *sharedAuthority) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == nil {
		return nil, authority.ErrCertificateNotAvailable
	}
	now, by := time.Now(), a.current.cert
	if left := by.NotAfter.Sub(now); left <= 0 || a.last.authority != nil && left < minAuthority {
		return nil, fmt.Errorf("%w: the authority expires at %s", authority.ErrCertificateNotAvailable, by.NotAfter)
	}
	template.BasicConstraintsValid = true
	if template.NotBefore = now.Add(-clockSkew); template.NotBefore.Before(by.NotBefore) {
		template.NotBefore = by.NotBefore
	}
	if template.NotAfter = now.Add(leafLifetime); template.NotAfter.After(by.NotAfter) {
		template.NotAfter = by.NotAfter
	}
	_, cert, err := pki.SignCertificate(template, by, template.PublicKey, a.current.key)
	if err != nil {
		return nil, err
	}
	a.last = leaf{&tls.Certificate{Leaf: cert}, by}
	return cert, nil
}

// cert is the authority's own certificate, nil if there is none yet.
func (a *sharedAuthority) cert() *x509.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == nil {
		return nil
	}
	return a.current.cert
}

// signer is who signed a certificate, nil if it is not the one that was signed last.
func (a *sharedAuthority) signer(cert *x509.Certificate) *x509.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last.Certificate == nil || !bytes.Equal(a.last.Leaf.Raw, cert.Raw) {
		return nil
	}
	return a.last.authority
}
