// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	corev1 "k8s.io/api/core/v1"
)

// signing is a shared authority that is told by hand what is in the Secret.
type signing struct {
	*sharedAuthority
	changes int
	problem error
}

func newSigning() *signing {
	s := &signing{}
	s.sharedAuthority = &sharedAuthority{
		changed: func() { s.changes++ }, unusable: func(err error) { s.problem = err },
	}
	return s
}

func (s *signing) sign(t *testing.T) (*x509.Certificate, error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s.Sign(&x509.Certificate{
		PublicKeyAlgorithm: x509.ECDSA, PublicKey: key.Public(), DNSNames: []string{"a.b.svc"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

func TestCertificatesAreGoodForClocksThatAreBehind(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newTestAuthority(t, now.Add(-day), now.Add(365*day))
	s := newSigning()
	s.observe(a.secret(t))
	cert, err := s.sign(t)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	for _, at := range []time.Duration{-clockSkew + time.Minute, 0, leafLifetime - time.Minute} {
		options := x509.VerifyOptions{Roots: roots, DNSName: "a.b.svc", CurrentTime: now.Add(at)}
		if _, err := cert.Verify(options); err != nil {
			t.Errorf("by a clock that is off by %s: %v", at, err)
		}
	}
	if signer := s.signer(cert); signer == nil || !signer.Equal(a.cert) {
		t.Error("the authority does not know what it signed")
	}
	if s.signer(a.cert) != nil {
		t.Error("the authority takes a certificate for its own that it did not sign")
	}
}

func TestCertificatesDoNotOutliveTheAuthority(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSigning()
	if _, err := s.sign(t); !errors.Is(err, authority.ErrCertificateNotAvailable) {
		t.Errorf("without an authority: %v", err)
	}
	a := newTestAuthority(t, now.Add(-time.Minute), now.Add(2*day))
	s.observe(a.secret(t))
	cert, err := s.sign(t)
	if err != nil {
		t.Fatal(err)
	}
	if cert.NotBefore.Before(a.cert.NotBefore) || cert.NotAfter.After(a.cert.NotAfter) {
		t.Errorf("valid from %s to %s, the authority from %s to %s",
			cert.NotBefore, cert.NotAfter, a.cert.NotBefore, a.cert.NotAfter)
	}

	// A first certificate is better than none. To renew it is not worth it.
	s = newSigning()
	s.observe(newTestAuthority(t, now.Add(-day), now.Add(time.Hour)).secret(t))
	if _, err := s.sign(t); err != nil {
		t.Errorf("the first of an authority that expires: %v", err)
	}
	if _, err := s.sign(t); !errors.Is(err, authority.ErrCertificateNotAvailable) {
		t.Errorf("the second of an authority that expires: %v", err)
	}
}

func TestSecretWithoutAnAuthorityChangesNothing(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a, other := newTestAuthority(t, now.Add(-day), now.Add(day)), newTestAuthority(t, now.Add(-day), now.Add(day))
	expired := newTestAuthority(t, now.Add(-day), now.Add(-time.Hour))
	s := newSigning()
	s.observe(a.secret(t))
	notAuthority, err := s.sign(t)
	if err != nil {
		t.Fatal(err)
	}
	mixed, leafOnly := a.secret(t), a.secret(t)
	mixed.Data["tls.key"] = other.secret(t).Data["tls.key"]
	leafOnly.Data["tls.crt"] = bundle{notAuthority}.encode()
	for name, test := range map[string]struct {
		secret *corev1.Secret
		want   string
	}{
		"an empty Secret":               {&corev1.Secret{}, "no certificate with its key"},
		"another authority's key":       {mixed, "no certificate with its key"},
		"a certificate without its key": {leafOnly, "no certificate with its key"},
		"an authority that is no more":  {expired.secret(t), "expired"},
		"the same authority once more":  {a.secret(t), ""},
	} {
		s.observe(test.secret)
		if (s.problem == nil) != (test.want == "") || s.problem != nil && !strings.Contains(s.problem.Error(), test.want) {
			t.Errorf("%s: %v", name, s.problem)
		}
		if !s.cert().Equal(a.cert) || s.changes != 1 {
			t.Errorf("%s: the authority has changed", name)
		}
	}
}

func TestNewAuthorityIsTold(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSigning()
	watcher := make(chan struct{}, 1)
	s.WatchRotation(watcher)
	told := func() bool {
		select {
		case <-watcher:
			return true
		default:
			return false
		}
	}
	for range 3 { // nobody is waited for
		s.observe(newTestAuthority(t, now.Add(-day), now.Add(365*day)).secret(t))
	}
	if !told() || told() || s.changes != 3 {
		t.Errorf("%d changes", s.changes)
	}
	s.StopWatchingRotation(watcher)
	s.observe(newTestAuthority(t, now.Add(-day), now.Add(365*day)).secret(t))
	if told() {
		t.Error("told what is not watched any more")
	}
}
