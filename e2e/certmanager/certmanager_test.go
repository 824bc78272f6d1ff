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
)

// TestCertManager installs the chart with certificates that the program issues itself, goes over to cert-manager, and
// lets everything happen to the certificates.
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
		{"the authority is renewed", s.testAuthorityRenewed},
		{"the authority gets another key", s.testAuthorityExchanged},
		{"the certificate is deleted", s.testDeleted},
		{"an upgrade asks about more, and one about less", s.testUpgrade},
		{"cert-manager is down", s.testDown},
		{"the certificate is about to expire", s.testExpires},
	} {
		began := time.Now()
		if !t.Run(test.name, test.run) {
			return // what a failed one leaves behind would have others fail
		}
		t.Logf("%s: %s", test.name, time.Since(began).Round(100*time.Millisecond))
	}
}

// testMode changes who issues the certificates.
func (s *setup) testMode(t *testing.T) {
	own := s.trusted(t)
	flood := s.startFlood(t)
	s.values = append(s.values, "certificates.mode=certManager")
	s.install(t)
	s.awaitServed(t)
	s.endFlood(t, flood)
	trusted := s.trusted(t)
	for _, authority := range append(own, s.mustCertificate(t, authoritySecret)) {
		if !slices.ContainsFunc(trusted, authority.Equal) {
			t.Errorf("the authority %s is not in the bundle", authority.Subject)
		}
	}
}

// testIssued shows that the API server asks and believes the product, and that nothing but its configuration is
// injected.
func (s *setup) testIssued(t *testing.T) {
	authority := s.mustCertificate(t, authoritySecret)
	if !authority.IsCA {
		t.Error("the authority is none")
	}
	s.checkSigned(t, authority)
	// From now on what is trusted is what cert-manager has issued.
	suite.Check(t, s.changeConfiguration(t.Context(), func(w *admissionregistrationv1.ValidatingWebhook) {
		w.ClientConfig.CABundle = nil
	}))
	eventually(t, func() error { return s.injected(t, authority) })
	s.awaitDenied(t)
	if a := s.kubelet.Do(t.Context(), ownAnnotation()); a.Outcome != suite.Allowed {
		t.Errorf("a write of a stock kubelet is %s", a)
	}
	all, err := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
	suite.Check(t, err)
	for i := range all.Items {
		for _, w := range all.Items[i].Webhooks {
			if all.Items[i].Name != cluster.Name && bytes.Contains(w.ClientConfig.CABundle, toPEM(authority)) {
				t.Errorf("%s of %s trusts the authority, too", w.Name, all.Items[i].Name)
			}
		}
	}
}

// testRenewed renews the program's certificate.
func (s *setup) testRenewed(t *testing.T) {
	flood := s.startPatientFlood(t)
	before := s.mustCertificate(t, leafSecret)
	s.renew(t, leafName)
	s.awaitServed(t)
	s.endFlood(t, flood)
	after := s.mustCertificate(t, leafSecret)
	if after.PublicKey.(*ecdsa.PublicKey).Equal(before.PublicKey) {
		t.Error("it has the same key")
	}
	s.checkInjected(t, s.mustCertificate(t, authoritySecret))
}

// testAuthorityRenewed renews the authority, which keeps its key, and then the program's certificate.
func (s *setup) testAuthorityRenewed(t *testing.T) {
	flood := s.startPatientFlood(t)
	old := s.mustCertificate(t, authoritySecret)
	s.renew(t, authorityName)
	renewed := s.mustCertificate(t, authoritySecret)
	if !renewed.PublicKey.(*ecdsa.PublicKey).Equal(old.PublicKey) {
		t.Error("the authority has another key")
	}
	eventually(t, func() error { return s.injected(t, old, renewed) })
	s.checkSigned(t, old)
	s.checkSigned(t, renewed)
	s.renew(t, leafName)
	s.awaitServed(t)
	s.endFlood(t, flood)
	s.checkInjected(t, old, renewed)
	s.checkSigned(t, old)
	s.checkSigned(t, renewed)
}

// testAuthorityExchanged takes the authority's key away: cert-manager makes another one. It is trusted before the
// program's certificate is renewed, and the old ones stay.
func (s *setup) testAuthorityExchanged(t *testing.T) {
	flood := s.startPatientFlood(t)
	trusted := s.trusted(t)
	old := s.mustCertificate(t, authoritySecret)
	suite.Check(t, s.Admin.CoreV1().Secrets(cluster.Namespace).Delete(t.Context(), authoritySecret, metav1.DeleteOptions{}))
	var next *x509.Certificate
	eventually(t, func() (err error) {
		next, err = s.certificate(t, authoritySecret, corev1.TLSCertKey)
		return err
	})
	if next.PublicKey.(*ecdsa.PublicKey).Equal(old.PublicKey) {
		t.Error("the authority has the same key")
	}
	trusted = append(trusted, next)
	took := eventually(t, func() error { return s.injected(t, trusted...) })
	t.Logf("the bundles have it %s later", took.Round(10*time.Millisecond))
	flood.awaitConnects(t, 4)
	s.checkSigned(t, old)
	s.renew(t, leafName)
	s.awaitServed(t)
	s.endFlood(t, flood)
	s.checkSigned(t, next)
	s.renew(t, leafName)
	s.awaitServed(t)
	s.checkInjected(t, trusted...) // renewals add nothing
}

// testDeleted deletes the program's certificate.
func (s *setup) testDeleted(t *testing.T) {
	flood := s.startPatientFlood(t)
	before := s.mustCertificate(t, leafSecret)
	suite.Check(t, s.Admin.CoreV1().Secrets(cluster.Namespace).Delete(t.Context(), leafSecret, metav1.DeleteOptions{}))
	eventually(t, func() error {
		after, err := s.certificate(t, leafSecret, corev1.TLSCertKey)
		if err == nil && after.Equal(before) {
			err = errors.New("it is not deleted")
		}
		return err
	})
	s.awaitServed(t)
	s.endFlood(t, flood)
}

// testUpgrade upgrades the release so that it asks about more, and back: cainjector has set a field of each webhook, so
// that none could be taken out.
func (s *setup) testUpgrade(t *testing.T) {
	trusted := s.trusted(t)
	rules := func() (n int) {
		for _, w := range s.configuration(t).Webhooks {
			n += len(w.Rules)
		}
		return n
	}
	before := rules()
	s.install(t, "baseline={leases}")
	s.checkInjected(t, trusted...)
	if rules() != before+1 {
		t.Errorf("%d rules, before %d", rules(), before)
	}
	s.install(t)
	s.checkInjected(t, trusted...)
	if rules() != before {
		t.Errorf("%d rules, at first %d", rules(), before)
	}
	s.awaitDenied(t)
}

// testDown ends cert-manager. The product does not notice, nor does a replica that starts.
func (s *setup) testDown(t *testing.T) {
	s.kill()
	flood := s.startPatientFlood(t)
	flood.awaitConnects(t, 4)
	s.endFlood(t, flood)
	pod := s.Replicas()[0].Pod
	suite.Check(t, s.Admin.CoreV1().Pods(cluster.Namespace).Delete(t.Context(), pod, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)),
	}))
	eventually(t, func() error {
		for _, r := range s.Replicas() {
			if r.Pod == pod {
				return fmt.Errorf("%s still runs", pod)
			}
		}
		return nil
	})
	suite.Check(t, s.AwaitRollout(t.Context()))
	s.awaitDenied(t)
	s.runAgain(t)
	s.awaitCertManager(t)
}

// testExpires gives the program a certificate that is about to expire, as if cert-manager had been down for months. Its
// metric says so, and it is not ready; when cert-manager is back, everything is in order.
func (s *setup) testExpires(t *testing.T) {
	s.kill()
	secret, err := s.secret(t, leafSecret)
	suite.Check(t, err)
	s.expiresSoon(t, secret)
	_, err = s.Admin.CoreV1().Secrets(cluster.Namespace).Update(t.Context(), secret, metav1.UpdateOptions{})
	suite.Check(t, err)
	s.awaitServed(t)
	eventually(t, func() error {
		for _, r := range s.Replicas() {
			if r.Ready() {
				return fmt.Errorf("%s is ready, though its certificate is about to expire", r.Pod)
			}
		}
		return nil
	})
	s.runAgain(t)
	eventually(t, func() error {
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

// expiresSoon puts a certificate into a Secret that the authority has signed and that expires within the time in which
// the program is not ready any more.
func (s *setup) expiresSoon(t *testing.T, secret *corev1.Secret) {
	t.Helper()
	stored, err := s.secret(t, authoritySecret)
	suite.Check(t, err)
	authority, err := tls.X509KeyPair(stored.Data[corev1.TLSCertKey], stored.Data[corev1.TLSPrivateKeyKey])
	suite.Check(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{service},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(4 * time.Minute),
	}, authority.Leaf, &key.PublicKey, authority.PrivateKey)
	suite.Check(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	suite.Check(t, err)
	secret.Data[corev1.TLSCertKey] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret.Data[corev1.TLSPrivateKeyKey] = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

func toPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
