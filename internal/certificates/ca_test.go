// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestCertificatesAreValidForClocksThatAreBehind(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newTestCA(t, now.Add(-day), now.Add(365*day))
	issued, err := a.ca().issue([]string{"a.b.svc"}, now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	for _, at := range []time.Duration{-clockSkew + time.Minute, 0, leafLifetime - time.Minute} {
		options := x509.VerifyOptions{Roots: roots, DNSName: "a.b.svc", CurrentTime: now.Add(at)}
		if _, err := issued.Leaf.Verify(options); err != nil {
			t.Errorf("by a clock that is off by %s: %v", at, err)
		}
	}
	if !issued.ca.Equal(a.cert) {
		t.Error("the certificate has another CA")
	}
	if key, ok := issued.PrivateKey.(*ecdsa.PrivateKey); !ok || !key.PublicKey.Equal(issued.Leaf.PublicKey) {
		t.Error("the key is not that of the certificate")
	}
}

func TestEachCertificateHasItsOwnKeyAndSerial(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newTestCA(t, now.Add(-day), now.Add(365*day)).ca()
	first, err := a.issue([]string{"a"}, now)
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.issue([]string{"a"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if first.Leaf.SerialNumber.Cmp(second.Leaf.SerialNumber) == 0 {
		t.Error("two certificates have one serial number")
	}
	if first.PrivateKey.(*ecdsa.PrivateKey).Equal(second.PrivateKey) {
		t.Error("two certificates have one key")
	}
}

func TestCertificatesDoNotOutliveTheCA(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newTestCA(t, now.Add(-time.Minute), now.Add(2*day))
	issued, err := a.ca().issue([]string{"a"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if issued.Leaf.NotBefore.Before(a.cert.NotBefore) || issued.Leaf.NotAfter.After(a.cert.NotAfter) {
		t.Errorf("valid from %s to %s, the CA from %s to %s",
			issued.Leaf.NotBefore, issued.Leaf.NotAfter, a.cert.NotBefore, a.cert.NotAfter)
	}
	if _, err := a.ca().issue([]string{"a"}, now.Add(2*day)); err == nil {
		t.Error("an expired CA issues a certificate")
	}
}

func TestReplaces(t *testing.T) {
	t.Parallel()
	old := newTestCA(t, epoch.Add(-300*day), epoch.Add(65*day))
	current := newTestCA(t, epoch.Add(-day), epoch.Add(364*day))
	expiring := newTestCA(t, epoch.Add(-364*day), epoch.Add(minCA-time.Minute))
	for _, test := range []struct {
		name   string
		by     *testCA
		newest *leaf
		want   bool
	}{
		{"the first certificate is issued", current, nil, true},
		{"the first certificate is issued even by a CA that is about to expire", expiring, nil, true},
		{"a new certificate stays", current, current.leaf(epoch, epoch.Add(30*day)), false},
		{"a certificate stays for two thirds of its life", current, current.leaf(epoch.Add(-19*day), epoch.Add(11*day)), false},
		{"a certificate is renewed after that", current, current.leaf(epoch.Add(-20*day), epoch.Add(10*day)), true},
		{"a certificate from another CA is replaced", current, old.leaf(epoch, epoch.Add(30*day)), true},
		{"a CA that is about to expire renews nothing", expiring, expiring.leaf(epoch.Add(-20*day), epoch.Add(time.Hour)), false},
		{"a CA that is about to expire replaces nothing", expiring, old.leaf(epoch, epoch.Add(30*day)), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.by.ca().replaces(test.newest, epoch); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNewCA(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	made, err := newCA(now)
	if err != nil {
		t.Fatal(err)
	}
	data, err := made.data()
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{Data: data}
	stored, err := readCA(secret, now)
	if err != nil {
		t.Fatal(err)
	}
	if !stored.cert.Equal(made.cert) {
		t.Error("another CA is read than was written")
	}
	if !stored.cert.NotBefore.Equal(now) || !stored.cert.NotAfter.Equal(now.Add(caLifetime)) {
		t.Errorf("valid from %s to %s", stored.cert.NotBefore, stored.cert.NotAfter)
	}
	if err := stored.cert.CheckSignatureFrom(stored.cert); err != nil {
		t.Errorf("it has not signed itself: %v", err)
	}
	if _, err := tls.X509KeyPair(data["ca.crt"], data["tls.key"]); err != nil {
		t.Errorf("ca.crt does not fit the key: %v", err)
	}
	s := &caSecret{}
	if err := s.read(secret, now); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		after time.Duration
		want  string
	}{
		{"a new CA stays", 0, ""},
		{"a CA stays before two thirds of its life are over", caLifetime/3*2 - time.Minute, ""},
		{"a CA is rotated after that", caLifetime/3*2 + time.Minute, "the CA is due for rotation"},
	} {
		if got := s.rotationReason(secret, now.Add(test.after)); got != test.want {
			t.Errorf("%s: got %q", test.name, got)
		}
	}
	if got := s.rotationReason(nil, now); got == "" {
		t.Error("nothing is written although there is no Secret")
	}
}

func TestSecretWithoutAUsableCAChangesNothingButIsRewritten(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a, other := newTestCA(t, now.Add(-day), now.Add(day)), newTestCA(t, now.Add(-day), now.Add(day))
	expired := newTestCA(t, now.Add(-day), now.Add(-time.Hour))
	issued, err := a.ca().issue([]string{"a"}, now)
	if err != nil {
		t.Fatal(err)
	}
	mixed, leafOnly, otherCA := a.secret(t), a.secret(t), a.secret(t)
	mixed.Data["tls.key"] = other.secret(t).Data["tls.key"]
	leafOnly.Data["tls.crt"] = bundle{issued.Leaf}.encode()
	otherCA.Data["ca.crt"] = other.secret(t).Data["tls.crt"]
	for _, test := range []struct {
		name              string
		secret            *corev1.Secret
		problem, rotation string
	}{
		{"an empty Secret", &corev1.Secret{}, "no certificate with its key", "no certificate with its key"},
		{"the key of another CA", mixed, "no certificate with its key", "no certificate with its key"},
		{"a certificate without its key", leafOnly, "no certificate with its key", "no certificate with its key"},
		{"an expired CA", expired.secret(t), "expired", "expired"},
		{"another CA in ca.crt", otherCA, "", "differ"},
		{"the same CA", a.secret(t), "", ""},
	} {
		s := &caSecret{}
		if err := s.read(a.secret(t), now); err != nil {
			t.Fatal(err)
		}
		before := s.current
		err := s.read(test.secret, now)
		if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: %v", test.name, err)
		}
		if s.current != before {
			t.Errorf("%s: the CA has changed", test.name)
		}
		reason := s.rotationReason(test.secret, now)
		if (reason == "") != (test.rotation == "") || !strings.Contains(reason, test.rotation) {
			t.Errorf("%s: it is rewritten because of %q, want %q", test.name, reason, test.rotation)
		}
	}
}

func TestSecretWithAnotherCAReplacesTheCurrentOne(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a, b := newTestCA(t, now.Add(-day), now.Add(day)), newTestCA(t, now.Add(-day), now.Add(day))
	s := &caSecret{}
	for _, next := range []*testCA{a, b} {
		if err := s.read(next.secret(t), now); err != nil {
			t.Fatal(err)
		}
		if !s.current.cert.Equal(next.cert) {
			t.Error("the CA of the Secret is not the current one")
		}
	}
}
