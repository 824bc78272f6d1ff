// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certmanager_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/suite"
)

// TestCertManager installs the chart with self-managed certificates, migrates to cert-manager, and renews, rotates, deletes and
// expires its certificates.
func TestCertManager(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.install(t)
	s.awaitDenied(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"from self-managed to cert-manager", s.testMode},
		{"issued and injected", s.testIssued},
		{"a certificate is renewed", s.testRenewed},
		{"the CA is renewed", s.testCARenewed},
		{"the CA gets another key", s.testCARotated},
		{"the certificate is deleted", s.testDeleted},
		{"an upgrade adds a webhook rule, and another one removes it", s.testUpgrade},
		{"cert-manager is down", s.testDown},
		{"the certificate is about to expire", s.testExpires},
	} {
		began := time.Now()
		if !t.Run(test.name, test.run) {
			return // a failed test would make later ones fail
		}
		t.Logf("%s: %s", test.name, time.Since(began).Round(100*time.Millisecond))
	}
}

// testMode changes the issuer of the certificates.
func (s *setup) testMode(t *testing.T) {
	own := s.trusted(t)
	flood := s.startFlood(t, true)
	s.values = append(s.values, "certificates.mode=certManager")
	s.install(t)
	s.awaitServed(t)
	endFlood(t, flood)
	trusted := s.trusted(t)
	for _, ca := range append(own, s.mustCertificate(t, caSecret)) {
		if !slices.ContainsFunc(trusted, ca.Equal) {
			t.Errorf("the CA %s is not in the bundle", ca.Subject)
		}
	}
}

// testIssued shows that the API server calls and trusts the product, and that the CA is injected into no other configuration.
func (s *setup) testIssued(t *testing.T) {
	ca := s.mustCertificate(t, caSecret)
	if !ca.IsCA {
		t.Error("the certificate is not that of a CA")
	}
	s.checkSigned(t, ca)
	// From now on only the CA of cert-manager is trusted.
	suite.Check(t, s.ChangeWebhooks(t.Context(), func(w *admissionregistrationv1.ValidatingWebhook) {
		w.ClientConfig.CABundle = nil
	}))
	suite.Eventually(t, patience, func() error { return s.injected(t, ca) })
	s.awaitDenied(t)
	if a := s.kubelet.Do(t.Context(), suite.AnnotateOwnNode(node)); a.Outcome != suite.Allowed {
		t.Errorf("a write of a stock kubelet: %s", a)
	}
	all, err := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
	suite.Check(t, err)
	for i := range all.Items {
		for _, w := range all.Items[i].Webhooks {
			if all.Items[i].Name != cluster.Name && bytes.Contains(w.ClientConfig.CABundle, suite.CertificatePEM(ca)) {
				t.Errorf("%s of %s trusts the CA, too", w.Name, all.Items[i].Name)
			}
		}
	}
}

// testRenewed renews the serving certificate.
func (s *setup) testRenewed(t *testing.T) {
	flood := s.startFlood(t, false)
	before := s.mustCertificate(t, leafSecret)
	s.renew(t, leafName)
	s.awaitServed(t)
	endFlood(t, flood)
	after := s.mustCertificate(t, leafSecret)
	if after.PublicKey.(*ecdsa.PublicKey).Equal(before.PublicKey) {
		t.Error("it has the same key")
	}
	s.checkInjected(t, s.mustCertificate(t, caSecret))
}

// testCARenewed renews the CA, which keeps its key, and then the serving certificate.
func (s *setup) testCARenewed(t *testing.T) {
	flood := s.startFlood(t, false)
	old := s.mustCertificate(t, caSecret)
	s.renew(t, caName)
	renewed := s.mustCertificate(t, caSecret)
	if !renewed.PublicKey.(*ecdsa.PublicKey).Equal(old.PublicKey) {
		t.Error("the CA has another key")
	}
	suite.Eventually(t, patience, func() error { return s.injected(t, old, renewed) })
	s.checkSigned(t, old)
	s.checkSigned(t, renewed)
	s.renew(t, leafName)
	s.awaitServed(t)
	endFlood(t, flood)
	s.checkInjected(t, old, renewed)
	s.checkSigned(t, old)
	s.checkSigned(t, renewed)
}

// testCARotated deletes the Secret of the CA: cert-manager creates another key. The new CA is trusted before the serving certificate
// is renewed, and the old ones stay trusted.
func (s *setup) testCARotated(t *testing.T) {
	flood := s.startFlood(t, false)
	trusted := s.trusted(t)
	old := s.mustCertificate(t, caSecret)
	suite.Check(t, s.Admin.CoreV1().Secrets(cluster.Namespace).Delete(t.Context(), caSecret, metav1.DeleteOptions{}))
	var next *x509.Certificate
	suite.Eventually(t, patience, func() (err error) {
		next, err = s.certificate(t, caSecret, corev1.TLSCertKey)
		return err
	})
	if next.PublicKey.(*ecdsa.PublicKey).Equal(old.PublicKey) {
		t.Error("the CA has the same key")
	}
	trusted = append(trusted, next)
	took := suite.Eventually(t, patience, func() error { return s.injected(t, trusted...) })
	t.Logf("the new CA is in the bundles %s later", took.Round(10*time.Millisecond))
	flood.AwaitReconnections(t, 4)
	s.checkSigned(t, old)
	s.renew(t, leafName)
	s.awaitServed(t)
	endFlood(t, flood)
	s.checkSigned(t, next)
	s.renew(t, leafName)
	s.awaitServed(t)
	s.checkInjected(t, trusted...) // renewals add nothing
}

// testDeleted deletes the serving certificate.
func (s *setup) testDeleted(t *testing.T) {
	flood := s.startFlood(t, false)
	before := s.mustCertificate(t, leafSecret)
	suite.Check(t, s.Admin.CoreV1().Secrets(cluster.Namespace).Delete(t.Context(), leafSecret, metav1.DeleteOptions{}))
	suite.Eventually(t, patience, func() error {
		after, err := s.certificate(t, leafSecret, corev1.TLSCertKey)
		if err == nil && after.Equal(before) {
			err = errors.New("the certificate is the deleted one")
		}
		return err
	})
	s.awaitServed(t)
	endFlood(t, flood)
}

// testUpgrade upgrades the release to rules for leases and back: Helm must be able to remove a rule although cainjector owns a field of
// each webhook.
func (s *setup) testUpgrade(t *testing.T) {
	trusted := s.trusted(t)
	rules := func() (n int) {
		for _, w := range s.Webhooks(t).Webhooks {
			n += len(w.Rules)
		}
		return n
	}
	before := rules()
	s.install(t, "baseline={leases}")
	s.checkInjected(t, trusted...)
	if rules() <= before {
		t.Errorf("%d rules, before %d", rules(), before)
	}
	s.install(t)
	s.checkInjected(t, trusted...)
	if rules() != before {
		t.Errorf("%d rules, originally %d", rules(), before)
	}
	s.awaitDenied(t)
}

// testDown stops cert-manager, which affects neither the running replicas nor one that starts.
func (s *setup) testDown(t *testing.T) {
	s.kill()
	flood := s.startFlood(t, false)
	flood.AwaitReconnections(t, 4)
	endFlood(t, flood)
	pod := s.Replicas()[0].Pod
	suite.Check(t, s.Admin.CoreV1().Pods(cluster.Namespace).Delete(t.Context(), pod, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)),
	}))
	suite.Eventually(t, patience, func() error {
		for _, r := range s.Replicas() {
			if r.Pod == pod {
				return fmt.Errorf("%s still runs", pod)
			}
		}
		return nil
	})
	suite.Check(t, s.AwaitRollout(t.Context()))
	s.awaitDenied(t)
	s.restart(t)
	s.awaitCertManager(t)
}

// testExpires replaces the serving certificate with one that is about to expire, as if cert-manager had been down for months. The
// metric shows it and the replicas become unready, until cert-manager is back.
func (s *setup) testExpires(t *testing.T) {
	s.kill()
	secret, err := s.secret(t, leafSecret)
	suite.Check(t, err)
	s.expiresSoon(t, secret)
	_, err = s.Admin.CoreV1().Secrets(cluster.Namespace).Update(t.Context(), secret, metav1.UpdateOptions{})
	suite.Check(t, err)
	s.awaitServed(t)
	suite.Eventually(t, patience, func() error {
		for _, r := range s.Replicas() {
			if r.Ready() {
				return fmt.Errorf("%s is ready although its certificate is about to expire", r.Pod)
			}
		}
		return nil
	})
	s.restart(t)
	suite.Eventually(t, patience, func() error {
		leaf, err := s.certificate(t, leafSecret, corev1.TLSCertKey)
		if err == nil && time.Until(leaf.NotAfter) < time.Hour {
			err = errors.New("the certificate is not renewed")
		}
		return err
	})
	s.awaitServed(t)
	suite.Check(t, s.AwaitRollout(t.Context()))
	s.awaitDenied(t)
}

// expiresSoon puts a certificate into a Secret that the CA has signed and that expires so soon that the program is not ready.
func (s *setup) expiresSoon(t *testing.T, secret *corev1.Secret) {
	t.Helper()
	stored, err := s.secret(t, caSecret)
	suite.Check(t, err)
	ca, err := tls.X509KeyPair(stored.Data[corev1.TLSCertKey], stored.Data[corev1.TLSPrivateKeyKey])
	suite.Check(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{service},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(4 * time.Minute),
	}, ca.Leaf, &key.PublicKey, ca.PrivateKey)
	suite.Check(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	suite.Check(t, err)
	secret.Data[corev1.TLSCertKey] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret.Data[corev1.TLSPrivateKeyKey] = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}
