// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
)

// caSecret is the Secret of the CA that replicas share.
const caSecret = "node-restriction-plus-ca"

// selfManaged has two replicas that issue their own certificates, with the permissions of the chart.
type selfManaged struct {
	*environment
	parent   *testing.T // of all subtests, for whose duration the replicas run
	replicas []*product.Product
	kubelet  *suite.Client
}

const selfManagedNode = "cert-self"

// testSelfManaged tests replicas that issue their own certificates.
func (s *environment) testSelfManaged(t *testing.T) {
	suite.Check(t, s.product.Stop())
	s.applyRoles(t)
	before := s.Webhooks(t)
	own := *s
	m := &selfManaged{environment: &own, parent: t}
	m.replicas = []*product.Product{m.start(t, 1)}
	own.product = m.replicas[0]
	m.kubelet = own.offender(t, selfManagedNode)

	t.Run("an empty bundle", func(t *testing.T) { m.testEmptyBundle(t, before) })
	t.Run("a second replica", m.testSecondReplica)
	t.Run("an upgrade", m.testUpgrade)
	t.Run("another CA", m.testAnotherCA)
	t.Run("no CA", m.testNoCA)
	t.Run("no configuration", m.testNoConfiguration)
	t.Run("no permissions", m.testNoPermissions)
}

// testEmptyBundle shows that the CA is added to the bundles, and that nothing else in the configuration changes.
func (m *selfManaged) testEmptyBundle(t *testing.T, before *admissionregistrationv1.ValidatingWebhookConfiguration) {
	m.setBundles(t, nil)
	m.awaitBundles(t, 1)
	after := m.Webhooks(t)
	for i := range after.Webhooks {
		after.Webhooks[i].ClientConfig.CABundle = before.Webhooks[i].ClientConfig.CABundle
	}
	if !bytes.Equal(suite.JSON(t, after.Webhooks), suite.JSON(t, before.Webhooks)) {
		t.Errorf("got %s\nwant %s", suite.JSON(t, after.Webhooks), suite.JSON(t, before.Webhooks))
	}
	m.pointAt(t, m.replicas...)
	m.awaitDenied(t)
}

// testSecondReplica shows that another replica uses the same CA, and that one write to the bundles is enough.
func (m *selfManaged) testSecondReplica(t *testing.T) {
	secret, configuration := m.secret(t), m.Webhooks(t)
	m.replicas = append(m.replicas, m.start(t, 2))
	if now := m.secret(t); now.ResourceVersion != secret.ResourceVersion {
		t.Error("the second replica has written the Secret")
	}
	if now := m.Webhooks(t); now.ResourceVersion != configuration.ResourceVersion {
		t.Error("the second replica has written the webhook configuration")
	}
	m.checkSigned(t, m.ca(t), m.replicas...)
	m.pointAt(t, m.replicas...)
	m.awaitDenied(t)
}

// testUpgrade applies the configuration again, as an upgrade of the chart does, with one more webhook and then without it, each time
// with the bundle of another CA.
func (m *selfManaged) testUpgrade(t *testing.T) {
	webhooks := len(m.Webhooks(t).Webhooks)
	for _, more := range []int{1, 0} {
		values := slices.Repeat([]string{"baseline={leases}"}, more)
		suite.Check(t, m.product.Configure(t.Context(), m.Kubectl, m.helm, values...))
		m.awaitBundles(t, 2)
		if got := len(m.Webhooks(t).Webhooks); got != webhooks+more {
			t.Errorf("%d webhooks, want %d", got, webhooks+more)
		}
	}
	m.setBundles(t, nil)
	m.awaitBundles(t, 1)
	m.raiseTimeouts(t)
	m.pointAt(t, m.replicas...)
	m.awaitDenied(t)
}

// testAnotherCA replaces the CA, while a kubelet writes, with one that is old enough to be used immediately.
func (m *selfManaged) testAnotherCA(t *testing.T) {
	flood := m.startFlood(t, m.kubelet, selfManagedNode)
	flood.AwaitReconnections(t, 2)
	old, next := m.ca(t), newCAData(t)
	secret := m.secret(t)
	secret.Data = next
	_, err := m.Admin.CoreV1().Secrets(product.Name).Update(t.Context(), secret, metav1.UpdateOptions{})
	suite.Check(t, err)
	m.awaitBundles(t, 2)
	suite.Eventually(t, time.Minute, func() error { return m.signed(t, m.ca(t), m.replicas...) })
	flood.AwaitReconnections(t, 4)
	flood.End(t)
	if !bytes.Equal(m.secret(t).Data["tls.crt"], next["tls.crt"]) {
		t.Error("the CA has changed")
	}
	for _, b := range m.bundles(t) {
		if !slices.ContainsFunc(b, old.Equal) {
			t.Error("the old CA is no longer in the bundle")
		}
	}
}

// testNoCA deletes the CA while a kubelet writes, and corrupts the next one. A new one is created and trusted. Running replicas use
// the old CA until the new one is old enough, while a replica that starts only has the new one.
func (m *selfManaged) testNoCA(t *testing.T) {
	flood := m.startFlood(t, m.kubelet, selfManagedNode)
	old := m.ca(t)
	suite.Check(t, m.Admin.CoreV1().Secrets(product.Name).Delete(t.Context(), caSecret, metav1.DeleteOptions{}))
	m.awaitBundles(t, 3)
	secret := m.secret(t)
	secret.Data = map[string][]byte{"tls.crt": []byte("nothing")}
	_, err := m.Admin.CoreV1().Secrets(product.Name).Update(t.Context(), secret, metav1.UpdateOptions{})
	suite.Check(t, err)
	m.awaitBundles(t, 4)
	flood.AwaitReconnections(t, 4)
	m.checkSigned(t, old, m.replicas...)
	for _, p := range m.replicas {
		suite.Check(t, p.Ready(t.Context()))
	}
	flood.End(t)

	suite.Check(t, m.replicas[1].Stop())
	suite.Check(t, m.replicas[1].Run(t.Context(), m.args()...))
	m.checkSigned(t, old, m.replicas[0])
	m.checkSigned(t, m.ca(t), m.replicas[1])
	flood = m.startFlood(t, m.kubelet, selfManagedNode)
	flood.AwaitReconnections(t, 6)
	flood.End(t)
}

// testNoConfiguration shows that replicas neither create the webhook configuration nor wait for it, and that they add the bundles to a
// new one.
func (m *selfManaged) testNoConfiguration(t *testing.T) {
	configurations := m.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	stored := m.Webhooks(t)
	suite.Check(t, configurations.Delete(t.Context(), stored.Name, metav1.DeleteOptions{}))
	suite.Check(t, m.replicas[1].Stop())
	suite.Check(t, m.replicas[1].Run(t.Context(), m.args()...))
	stored.ResourceVersion, stored.UID = "", ""
	for i := range stored.Webhooks {
		stored.Webhooks[i].ClientConfig.CABundle = nil
	}
	_, err := configurations.Create(t.Context(), stored, metav1.CreateOptions{})
	suite.Check(t, err)
	// The first replica serves a certificate of a CA that is stored nowhere else.
	m.awaitBundles(t, 2)
	m.awaitDenied(t)
}

// testNoPermissions deletes the role bindings: replicas keep serving, and report the failures. They recover when the bindings are
// back.
func (m *selfManaged) testNoPermissions(t *testing.T) {
	failures := m.renewalErrors(t)
	suite.Check(t, m.Admin.RbacV1().RoleBindings(product.Name).Delete(t.Context(), caSecret, metav1.DeleteOptions{}))
	suite.Check(t, m.Admin.RbacV1().ClusterRoleBindings().Delete(t.Context(), "node-restriction-plus", metav1.DeleteOptions{}))
	suite.Check(t, m.Reconnect(t.Context()))
	m.awaitDenied(t)
	suite.Check(t, m.replicas[0].Ready(t.Context()))

	m.setBundles(t, nil)
	suite.Eventually(t, time.Minute, func() error {
		if m.renewalErrors(t) == failures {
			return errors.New("no failure is counted")
		}
		if m.replicas[0].Ready(t.Context()) == nil {
			return errors.New("the replica is ready although no API server trusts it")
		}
		return nil
	})
	m.applyRoles(t)
	m.awaitBundles(t, 2)
	m.awaitDenied(t)
	suite.Eventually(t, time.Minute, func() error { return m.replicas[0].Ready(t.Context()) })
}

// args returns the further flags of a replica.
func (m *selfManaged) args() []string {
	return []string{
		"--certificate-source=self-managed",
		"--self-managed-ca-secret=" + product.Name + "/" + caSecret,
		"--self-managed-dns-names=localhost",
		"--self-managed-webhook-configuration=node-restriction-plus",
	}
}

// start starts a replica with the service account of the chart and waits until it is ready.
func (m *selfManaged) start(t *testing.T, number int) *product.Product {
	t.Helper()
	t = m.parent
	config, err := m.ControlPlane.User("system:serviceaccount:" + product.Name + ":node-restriction-plus")
	suite.Check(t, err)
	p, err := product.Start(t.Context(), product.Options{
		Binary: m.product.Binary(), Dir: filepath.Join(m.Dir, fmt.Sprintf("self-managed-%d", number)), Config: config,
		CA: m.ControlPlane.CA, Args: m.args(),
	})
	suite.Check(t, err)
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("a replica did not stop cleanly: %v", err)
		}
	})
	return p
}

// applyRoles applies the namespace and the roles of the chart.
func (s *environment) applyRoles(t *testing.T) {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	roles, err := exec.CommandContext(t.Context(), s.helm, "template", filepath.Join(root, "charts", "node-restriction-plus"),
		"--namespace="+product.Name, "--set=certificates.mode=selfManaged", "--show-only=templates/rbac.yaml").Output()
	suite.Check(t, err)
	suite.Check(t, s.Kubectl.Apply(t.Context(), []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: "+product.Name+"}\n")))
	suite.Check(t, s.Kubectl.Apply(t.Context(), roles))
}

func (m *selfManaged) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := m.Admin.CoreV1().Secrets(product.Name).Get(t.Context(), caSecret, metav1.GetOptions{})
	suite.Check(t, err)
	return secret
}

// ca returns the CA in the Secret.
func (m *selfManaged) ca(t *testing.T) *x509.Certificate {
	t.Helper()
	return parseCertificates(t, m.secret(t).Data["tls.crt"])[0]
}

func (m *selfManaged) bundles(t *testing.T) [][]*x509.Certificate {
	t.Helper()
	var bundles [][]*x509.Certificate
	for _, w := range m.Webhooks(t).Webhooks {
		bundles = append(bundles, parseCertificates(t, w.ClientConfig.CABundle))
	}
	return bundles
}

// awaitBundles waits until every bundle has this number of CAs, including the one in the Secret.
func (m *selfManaged) awaitBundles(t *testing.T, want int) {
	t.Helper()
	suite.Eventually(t, time.Minute, func() error {
		secret, err := m.Admin.CoreV1().Secrets(product.Name).Get(t.Context(), caSecret, metav1.GetOptions{})
		if err != nil {
			return err
		}
		current := parseCertificates(t, secret.Data["tls.crt"])
		for i, b := range m.bundles(t) {
			if len(b) != want || len(current) != 1 || !slices.ContainsFunc(b, current[0].Equal) {
				return fmt.Errorf("webhook %d has %d CAs, want %d with the one in the Secret", i, len(b), want)
			}
		}
		return nil
	})
}

// signed returns an error if a replica serves a certificate that the CA has not signed for the host.
func (m *selfManaged) signed(t *testing.T, by *x509.Certificate, replicas ...*product.Product) error {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(by)
	for _, p := range replicas {
		cert, err := served(t, p)
		if err != nil {
			return err
		}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost"}); err != nil {
			return err
		}
		if left := time.Until(cert.NotAfter); left < 7*24*time.Hour {
			return fmt.Errorf("the certificate expires in %s, which fires an alert", left)
		}
	}
	return nil
}

func (m *selfManaged) checkSigned(t *testing.T, by *x509.Certificate, replicas ...*product.Product) {
	t.Helper()
	if err := m.signed(t, by, replicas...); err != nil {
		t.Error(err)
	}
}

// pointAt makes the API server call these replicas by the name in the certificate.
func (m *selfManaged) pointAt(t *testing.T, replicas ...*product.Product) {
	t.Helper()
	address, _ := balance(m.parent, replicas)
	suite.Check(t, m.SetURL(t.Context(), strings.Replace(address, "127.0.0.1", "localhost", 1)))
}

// awaitDenied waits until the API server calls a replica.
func (m *selfManaged) awaitDenied(t *testing.T) {
	t.Helper()
	suite.Eventually(t, time.Minute, func() error {
		if a := m.kubelet.Do(t.Context(), suite.AddFinalizer(selfManagedNode)); a.Outcome != suite.Denied {
			return errors.New(a.String())
		}
		return nil
	})
}

// newCAData returns the data of a Secret with a CA that is a day old.
func newCAData(t *testing.T) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Check(t, err)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "given"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	suite.Check(t, err)
	cert, err := x509.ParseCertificate(der)
	suite.Check(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	suite.Check(t, err)
	return map[string][]byte{
		"tls.crt": suite.CertificatePEM(cert), "ca.crt": suite.CertificatePEM(cert),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}
}

func parseCertificates(t *testing.T, data []byte) []*x509.Certificate {
	t.Helper()
	certs, err := suite.ParseCertificates(data)
	suite.Check(t, err)
	return certs
}
