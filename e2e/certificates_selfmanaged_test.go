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
	"net/http"
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
)

const (
	releaseNamespace = "node-restriction-plus"
	authoritySecret  = "node-restriction-plus-ca"
)

// selfManaged is two replicas that issue their own certificates, with the rights that the chart gives.
type selfManaged struct {
	*suite
	whole    *testing.T // of which the tests are parts
	replicas []*product.Product
	kubelet  caller
}

const selfManagedNode = "cert-self"

// testSelfManaged runs replicas that issue their own certificates.
func (s *suite) testSelfManaged(t *testing.T) {
	check(t, s.product.Stop())
	s.grantRights(t)
	before := s.configuration(t)
	own := *s
	m := &selfManaged{suite: &own, whole: t}
	m.replicas = []*product.Product{m.start(t, 1)}
	own.product = m.replicas[0]
	m.kubelet = own.offender(t, selfManagedNode)

	t.Run("a bundle that is empty", func(t *testing.T) { m.testEmptyBundle(t, before) })
	t.Run("a second replica", m.testSecondReplica)
	t.Run("an upgrade", m.testUpgrade)
	t.Run("another authority", m.testAnotherAuthority)
	t.Run("no authority", m.testNoAuthority)
	t.Run("no configuration", m.testNoConfiguration)
	t.Run("no rights", m.testNoRights)
}

// testEmptyBundle shows that the bundles get the authority, and that nothing else of the configuration changes.
func (m *selfManaged) testEmptyBundle(t *testing.T, before *admissionregistrationv1.ValidatingWebhookConfiguration) {
	m.setBundles(t, nil)
	m.awaitBundles(t, 1)
	after := m.configuration(t)
	for i := range after.Webhooks {
		after.Webhooks[i].ClientConfig.CABundle = before.Webhooks[i].ClientConfig.CABundle
	}
	if !bytes.Equal(toJSON(t, after.Webhooks), toJSON(t, before.Webhooks)) {
		t.Errorf("got %s\nwant %s", toJSON(t, after.Webhooks), toJSON(t, before.Webhooks))
	}
	m.pointAt(t, m.replicas...)
	m.awaitDenied(t)
}

// testSecondReplica shows that another replica takes the same authority, and that one write to the bundles is enough.
func (m *selfManaged) testSecondReplica(t *testing.T) {
	secret, configuration := m.secret(t), m.configuration(t)
	m.replicas = append(m.replicas, m.start(t, 2))
	if now := m.secret(t); now.ResourceVersion != secret.ResourceVersion {
		t.Error("the second replica has written the Secret")
	}
	if now := m.configuration(t); now.ResourceVersion != configuration.ResourceVersion {
		t.Error("the second replica has written the webhook configuration")
	}
	m.checkSigned(t, m.authority(t), m.replicas...)
	m.pointAt(t, m.replicas...)
	m.awaitDenied(t)
}

// testUpgrade applies the configuration anew, as an upgrade of the chart does, with one webhook more and then without
// it, and each time with the bundle of somebody else.
func (m *selfManaged) testUpgrade(t *testing.T) {
	webhooks := len(m.configuration(t).Webhooks)
	for _, more := range []int{1, 0} {
		values := slices.Repeat([]string{"baseline={leases}"}, more)
		check(t, m.product.Configure(t.Context(), m.kubectl, m.helm, values...))
		m.awaitBundles(t, 2)
		if got := len(m.configuration(t).Webhooks); got != webhooks+more {
			t.Errorf("%d webhooks, want %d", got, webhooks+more)
		}
	}
	m.setBundles(t, nil)
	m.awaitBundles(t, 1)
	m.raiseTimeouts(t)
	m.pointAt(t, m.replicas...)
	m.awaitDenied(t)
}

// testAnotherAuthority exchanges the authority while a kubelet writes: for one that is old enough to be used at once.
func (m *selfManaged) testAnotherAuthority(t *testing.T) {
	flood := m.startFlood(t, m.kubelet, selfManagedNode)
	flood.awaitConnects(t, 2)
	old, next := m.authority(t), newAuthorityData(t)
	secret := m.secret(t)
	secret.Data = next
	_, err := m.admin.CoreV1().Secrets(releaseNamespace).Update(t.Context(), secret, metav1.UpdateOptions{})
	check(t, err)
	m.awaitBundles(t, 2)
	eventually(t, time.Minute, func() error { return m.signed(t, m.authority(t), m.replicas...) })
	flood.awaitConnects(t, 4)
	flood.end(t)
	if !bytes.Equal(m.secret(t).Data["tls.crt"], next["tls.crt"]) {
		t.Error("the authority was not left as it was")
	}
	for _, b := range m.bundles(t) {
		if !slices.ContainsFunc(b, old.Equal) {
			t.Error("the old authority is not in the bundle any more")
		}
	}
}

// testNoAuthority takes the authority away while a kubelet writes, and spoils the next one. A new one is made and
// trusted; replicas go on with the old one until it has an age, while one that starts has the new one alone.
func (m *selfManaged) testNoAuthority(t *testing.T) {
	flood := m.startFlood(t, m.kubelet, selfManagedNode)
	old := m.authority(t)
	check(t, m.admin.CoreV1().Secrets(releaseNamespace).Delete(t.Context(), authoritySecret, metav1.DeleteOptions{}))
	m.awaitBundles(t, 3)
	secret := m.secret(t)
	secret.Data = map[string][]byte{"tls.crt": []byte("nothing")}
	_, err := m.admin.CoreV1().Secrets(releaseNamespace).Update(t.Context(), secret, metav1.UpdateOptions{})
	check(t, err)
	m.awaitBundles(t, 4)
	flood.awaitConnects(t, 4)
	m.checkSigned(t, old, m.replicas...)
	for _, p := range m.replicas {
		check(t, p.Ready(t.Context()))
	}
	flood.end(t)

	check(t, m.replicas[1].Stop())
	check(t, m.replicas[1].Run(t.Context(), m.args()...))
	m.checkSigned(t, old, m.replicas[0])
	m.checkSigned(t, m.authority(t), m.replicas[1])
	flood = m.startFlood(t, m.kubelet, selfManagedNode)
	flood.awaitConnects(t, 6)
	flood.end(t)
}

// testNoConfiguration shows that a configuration is not made, that replicas wait for none, and that a new one gets its
// bundles.
func (m *selfManaged) testNoConfiguration(t *testing.T) {
	configurations := m.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	stored := m.configuration(t)
	check(t, configurations.Delete(t.Context(), stored.Name, metav1.DeleteOptions{}))
	check(t, m.replicas[1].Stop())
	check(t, m.replicas[1].Run(t.Context(), m.args()...))
	stored.ResourceVersion, stored.UID = "", ""
	for i := range stored.Webhooks {
		stored.Webhooks[i].ClientConfig.CABundle = nil
	}
	_, err := configurations.Create(t.Context(), stored, metav1.CreateOptions{})
	check(t, err)
	// The first replica serves the certificate of an authority that no other place has any more.
	m.awaitBundles(t, 2)
	m.awaitDenied(t)
}

// testNoRights takes all rights away: replicas serve what they have, and say so. Once they are back, so is everything.
func (m *selfManaged) testNoRights(t *testing.T) {
	failures := m.renewalErrors(t)
	check(t, m.admin.RbacV1().RoleBindings(releaseNamespace).Delete(t.Context(), authoritySecret, metav1.DeleteOptions{}))
	check(t, m.admin.RbacV1().ClusterRoleBindings().Delete(t.Context(), "node-restriction-plus", metav1.DeleteOptions{}))
	m.reconnect(t)
	m.awaitDenied(t)
	check(t, m.replicas[0].Ready(t.Context()))

	m.setBundles(t, nil)
	eventually(t, time.Minute, func() error {
		if m.renewalErrors(t) == failures {
			return errors.New("no failure is counted")
		}
		if m.replicas[0].Ready(t.Context()) == nil {
			return errors.New("it is ready though no API server trusts it")
		}
		return nil
	})
	m.grantRights(t)
	m.awaitBundles(t, 2)
	m.awaitDenied(t)
	eventually(t, time.Minute, func() error { return m.replicas[0].Ready(t.Context()) })
}

// args are the flags of a replica, besides those that all tests use.
func (m *selfManaged) args() []string {
	return []string{
		"--certificate-source=self-managed",
		"--self-managed-ca-secret=" + releaseNamespace + "/" + authoritySecret,
		"--self-managed-dns-names=localhost",
		"--self-managed-webhook-configuration=node-restriction-plus",
	}
}

// start starts a replica as the service account of the chart and waits until it is ready.
func (m *selfManaged) start(t *testing.T, number int) *product.Product {
	t.Helper()
	t = m.whole // which it runs for
	config, err := m.stock.User("system:serviceaccount:" + releaseNamespace + ":node-restriction-plus")
	check(t, err)
	p, err := product.Start(t.Context(), product.Options{
		Binary: m.product.Binary(), Dir: filepath.Join(m.dir, fmt.Sprintf("self-managed-%d", number)), Config: config,
		CA: m.stock.CA, Args: m.args(),
	})
	check(t, err)
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("a replica did not end well: %v", err)
		}
	})
	return p
}

// grantRights applies the namespace and the roles of the chart.
func (s *suite) grantRights(t *testing.T) {
	t.Helper()
	root, err := project.Root()
	check(t, err)
	roles, err := exec.CommandContext(t.Context(), s.helm, "template", filepath.Join(root, "charts", "node-restriction-plus"),
		"--namespace="+releaseNamespace, "--set=certificates.mode=selfManaged", "--show-only=templates/rbac.yaml").Output()
	check(t, err)
	check(t, s.kubectl.Apply(t.Context(), []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: "+releaseNamespace+"}\n")))
	check(t, s.kubectl.Apply(t.Context(), roles))
}

func (s *suite) configuration(t *testing.T) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	c, err := s.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(
		t.Context(), "node-restriction-plus", metav1.GetOptions{})
	check(t, err)
	return c
}

func (m *selfManaged) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := m.admin.CoreV1().Secrets(releaseNamespace).Get(t.Context(), authoritySecret, metav1.GetOptions{})
	check(t, err)
	return secret
}

// authority is what is in the Secret.
func (m *selfManaged) authority(t *testing.T) *x509.Certificate {
	t.Helper()
	return fromPEM(t, m.secret(t).Data["tls.crt"])[0]
}

func (m *selfManaged) bundles(t *testing.T) [][]*x509.Certificate {
	t.Helper()
	var bundles [][]*x509.Certificate
	for _, w := range m.configuration(t).Webhooks {
		bundles = append(bundles, fromPEM(t, w.ClientConfig.CABundle))
	}
	return bundles
}

// awaitBundles waits until every bundle has so many authorities, one of them that of the Secret.
func (m *selfManaged) awaitBundles(t *testing.T, want int) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		secret, err := m.admin.CoreV1().Secrets(releaseNamespace).Get(t.Context(), authoritySecret, metav1.GetOptions{})
		if err != nil {
			return err
		}
		current := fromPEM(t, secret.Data["tls.crt"])
		for i, b := range m.bundles(t) {
			if len(b) != want || len(current) != 1 || !slices.ContainsFunc(b, current[0].Equal) {
				return fmt.Errorf("webhook %d has %d authorities, want %d and that of the Secret", i, len(b), want)
			}
		}
		return nil
	})
}

// signed returns an error if the replicas serve anything else than what the authority has signed for the host.
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
			return fmt.Errorf("it expires in %s, of which an alert warns", left)
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

// pointAt has the API server ask these replicas, by the name of the certificate.
func (m *selfManaged) pointAt(t *testing.T, replicas ...*product.Product) {
	t.Helper()
	address, _ := balance(m.whole, replicas)
	address = strings.Replace(address, "127.0.0.1", "localhost", 1)
	configurations := m.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	c := m.configuration(t)
	for i := range c.Webhooks {
		config := &c.Webhooks[i].ClientConfig
		config.URL = new(address + (*config.URL)[strings.LastIndex(*config.URL, "/"):])
	}
	_, err := configurations.Update(t.Context(), c, metav1.UpdateOptions{})
	check(t, err)
}

// awaitDenied waits until the API server asks.
func (m *selfManaged) awaitDenied(t *testing.T) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		a, err := m.kubelet.do(t.Context(), patchStatus(selfManagedNode, addsFinalizer))
		if err != nil {
			return err
		}
		if _, message := a.deniedBy(); a.code != http.StatusForbidden || message == "" {
			return errors.New(a.String())
		}
		return nil
	})
}

// newAuthorityData is an authority as the Secret has it, of a day ago.
func newAuthorityData(t *testing.T) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "given"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	check(t, err)
	return map[string][]byte{
		"tls.crt": toPEM(cert), "ca.crt": toPEM(cert),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}
}

func fromPEM(t *testing.T, data []byte) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		check(t, err)
		certs = append(certs, cert)
	}
	return certs
}
