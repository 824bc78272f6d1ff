// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
)

// TestCertificates shows that no write fails when certificates and CAs change, whatever their source, and that only an API server is
// answered if client certificates are required.
func TestCertificates(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t, controlplane.APIServerOptions{})
	s.install(t)
	s.raiseTimeouts(t)
	t.Run("files", s.testCertificateFiles)
	t.Run("client certificates", s.testClientCertificates)
	t.Run("self-managed", s.testSelfManaged)
}

// testCertificateFiles changes the files as a kubelet changes a mounted Secret, and once not atomically.
func (s *environment) testCertificateFiles(t *testing.T) {
	const node = "cert-files"
	kubelet := s.offender(t, node)
	secret := &secretDir{dir: filepath.Join(s.Dir, "mounted")}
	secret.mount(t, s.serving(t, s.ControlPlane.CA))
	suite.Check(t, s.product.Stop())
	suite.Check(t, s.product.Run(t.Context(), "--cert-dir="+secret.dir))
	suite.Check(t, s.Reconnect(t.Context()))
	offend(t, kubelet, node)

	flood := s.startFlood(t, kubelet, node)
	t.Run("another certificate", func(t *testing.T) {
		next := s.serving(t, s.ControlPlane.CA)
		secret.mount(t, next)
		s.awaitServed(t, s.product, next)
		flood.AwaitReconnections(t, 2)
	})
	t.Run("its key comes first", func(t *testing.T) {
		next := s.serving(t, s.ControlPlane.CA)
		before := s.renewalErrors(t)
		suite.Check(t, os.WriteFile(filepath.Join(secret.dir, "..data", "tls.key"), next.Key, 0o600))
		suite.Eventually(t, 20*time.Second, func() error {
			if s.renewalErrors(t) == before {
				return errors.New("no failure is counted")
			}
			return nil
		})
		suite.Check(t, s.product.Ready(t.Context()))
		suite.Check(t, os.WriteFile(filepath.Join(secret.dir, "..data", "tls.crt"), next.Cert, 0o600))
		s.awaitServed(t, s.product, next)
	})
	t.Run("another CA", func(t *testing.T) {
		ca, err := controlplane.NewCA("another")
		suite.Check(t, err)
		next := s.serving(t, ca)
		s.setBundles(t, append(ca.PEM(), s.ControlPlane.CA.PEM()...))
		flood.AwaitReconnections(t, 25) // until then it has compiled the configuration with the bundle
		secret.mount(t, next)
		s.awaitServed(t, s.product, next)
		s.setBundles(t, ca.PEM())
		flood.AwaitReconnections(t, 4)
	})
	flood.End(t)
	back := s.serving(t, s.ControlPlane.CA)
	s.setBundles(t, s.ControlPlane.CA.PEM())
	secret.mount(t, back)
	s.awaitServed(t, s.product, back)
	suite.Check(t, s.product.AwaitCalled(t.Context(), s.ControlPlane.APIServer))
}

// testClientCertificates accepts client certificates of the cluster CA, which also signs the certificates of all kubelets.
func (s *environment) testClientCertificates(t *testing.T) {
	const node, name = "cert-clients", "node-restriction-plus-client"
	kubelet := s.offender(t, node)
	clientCA := filepath.Join(s.Dir, "client-ca.crt")
	suite.Check(t, os.WriteFile(clientCA, s.ControlPlane.CA.PEM(), 0o644))
	pinned, err := s.ControlPlane.CA.Client(name)
	suite.Check(t, err)
	server, err := s.ControlPlane.AddAPIServer(t.Context(), controlplane.APIServerOptions{
		Args: []string{suite.ClientCertificateFlag(t, filepath.Join(s.Dir, "admission"), strings.TrimPrefix(s.product.URL, "https://"), pinned)},
	})
	suite.Check(t, err)
	suite.Check(t, s.product.Stop())
	suite.Check(t, s.product.Run(t.Context(), "--client-ca-file="+clientCA, "--client-allowed-names="+name))
	suite.Check(t, s.product.AwaitCalled(t.Context(), server))

	t.Run("the API server with the certificate", func(t *testing.T) {
		first, err := s.product.Records.Len()
		suite.Check(t, err)
		offend(t, suite.Kubelet(t, server, node), node)
		records, err := s.product.Records.Since(first)
		suite.Check(t, err)
		if len(records) != 1 || records[0].ClientAuth != record.ClientAuthMTLS {
			t.Errorf("want one record with a client certificate, got %v", records)
		}
	})
	t.Run("the API server without one", func(t *testing.T) {
		a := kubelet.Send(t, suite.AddFinalizer(node))
		if a.Code != http.StatusInternalServerError || !strings.Contains(a.Text, "failed calling webhook") {
			t.Errorf("got %s", a)
		}
	})
	foreign, err := controlplane.NewCA("foreign")
	suite.Check(t, err)
	for _, test := range []struct {
		name, user, group string
		ca                *controlplane.CA
		answered          bool
	}{
		{"a kubelet", "system:node:" + node, "system:nodes", s.ControlPlane.CA, false},
		{"an administrator", "admin", "system:masters", s.ControlPlane.CA, false},
		{"the name with a certificate of another CA", name, "", foreign, false},
		{"the name", name, "", s.ControlPlane.CA, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cert, err := test.ca.Client(test.user, test.group)
			suite.Check(t, err)
			if err := s.ask(t, cert); (err == nil) != test.answered {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		if s.ask(t, controlplane.Certificate{}) == nil {
			t.Error("a client without a certificate is answered")
		}
	})
	suite.Check(t, s.product.Stop())
	suite.Check(t, s.product.Run(t.Context()))
	suite.Check(t, s.product.AwaitCalled(t.Context(), s.ControlPlane.APIServer))
}

// ask sends a request to the product as a client with a certificate. It returns an error if there is no answer.
func (s *environment) ask(t *testing.T, client controlplane.Certificate) error {
	t.Helper()
	h, err := rest.HTTPClientFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{
		CAData: s.ControlPlane.CA.PEM(), CertData: client.Cert, KeyData: client.Key,
	}})
	suite.Check(t, err)
	defer h.CloseIdleConnections()
	request, err := http.NewRequestWithContext(suite.Within(t, 10*time.Second), http.MethodPost, s.product.URL+"/admit",
		strings.NewReader("{}"))
	suite.Check(t, err)
	request.Header.Set("Content-Type", suite.JSONType)
	response, err := h.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// serving returns a serving certificate for the product.
func (s *environment) serving(t *testing.T, ca *controlplane.CA) controlplane.Certificate {
	t.Helper()
	cert, err := ca.Server()
	suite.Check(t, err)
	return cert
}

// awaitServed waits until the product serves a certificate.
func (s *environment) awaitServed(t *testing.T, p *product.Product, want controlplane.Certificate) {
	t.Helper()
	suite.Eventually(t, 30*time.Second, func() error {
		got, err := served(t, p)
		if err == nil && !bytes.Contains(want.Cert, suite.CertificatePEM(got)) {
			err = fmt.Errorf("the product serves certificate %x", got.SerialNumber)
		}
		return err
	})
}

// served returns the certificate that a product serves.
func served(t *testing.T, p *product.Product) (*x509.Certificate, error) {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // the caller looks at the certificate
	connection, err := dialer.DialContext(suite.Within(t, 10*time.Second), "tcp", strings.TrimPrefix(p.URL, "https://"))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

func (s *environment) renewalErrors(t *testing.T) float64 {
	t.Helper()
	m, err := s.product.Metrics(t.Context())
	suite.Check(t, err)
	return m.Sum("node_restriction_plus_certificate_reload_errors_total", "file", "serving-certificate")
}

func (s *environment) setBundles(t *testing.T, bundle []byte) {
	t.Helper()
	suite.Check(t, s.ChangeWebhooks(t.Context(), func(w *admissionregistrationv1.ValidatingWebhook) {
		w.ClientConfig.CABundle = bundle
	}))
}

// startFlood starts a kubelet whose writes from several connections must all be denied.
func (s *environment) startFlood(t *testing.T, kubelet *suite.Client, node string) *suite.Flood {
	t.Helper()
	denied := suite.Expectation{Request: suite.AddFinalizer(node), Want: suite.Denied}
	return s.StartFlood(t, suite.FloodOptions{
		Kubelet: kubelet, Interval: 20 * time.Millisecond, Expectations: slices.Repeat([]suite.Expectation{denied}, 4),
	})
}

// secretDir is a directory in which a certificate is mounted as a kubelet mounts a Secret: the names are links through the link
// ..data, which is replaced atomically.
type secretDir struct {
	dir     string
	version int
}

func (s *secretDir) mount(t *testing.T, c controlplane.Certificate) {
	t.Helper()
	s.version++
	version := fmt.Sprintf("..version-%d", s.version)
	suite.Check(t, c.Write(filepath.Join(s.dir, version)))
	data, fresh := filepath.Join(s.dir, "..data"), filepath.Join(s.dir, "..data_tmp")
	suite.Check(t, os.Symlink(version, fresh))
	suite.Check(t, os.Rename(fresh, data))
	if s.version > 1 {
		suite.Check(t, os.RemoveAll(filepath.Join(s.dir, fmt.Sprintf("..version-%d", s.version-1))))
		return
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		suite.Check(t, os.Symlink(filepath.Join("..data", name), filepath.Join(s.dir, name)))
	}
}
