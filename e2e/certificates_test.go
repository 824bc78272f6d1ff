// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/internal/record"
)

// TestCertificates shows that certificates and authorities change without a failed write, wherever they come from, and
// that only an API server may ask where client certificates are demanded.
func TestCertificates(t *testing.T) {
	t.Parallel()
	s := newSuite(t)
	s.startControlPlane(t, controlplane.APIServerOptions{})
	s.administer(t, s.stock.APIServer)
	s.startProduct(t, s.stock.APIServer)
	s.raiseTimeouts(t)
	t.Run("files", s.testCertificateFiles)
	t.Run("client certificates", s.testClientCertificates)
	t.Run("self-managed", s.testSelfManaged)
}

// testCertificateFiles changes the files as a kubelet changes a mounted Secret, and once as nobody should.
func (s *suite) testCertificateFiles(t *testing.T) {
	const node = "cert-files"
	kubelet := s.offender(t, node)
	secret := &secretFolder{dir: filepath.Join(s.dir, "mounted")}
	secret.mount(t, s.serving(t, s.stock.CA))
	check(t, s.product.Stop())
	check(t, s.product.Run(t.Context(), "--cert-dir="+secret.dir))
	s.reconnect(t)
	kubelet.offend(t, node)

	flood := s.startFlood(t, kubelet, node)
	t.Run("another certificate", func(t *testing.T) {
		next := s.serving(t, s.stock.CA)
		secret.mount(t, next)
		s.awaitServed(t, s.product, next)
		flood.awaitConnects(t, 2)
	})
	t.Run("its key comes first", func(t *testing.T) {
		next := s.serving(t, s.stock.CA)
		before := s.renewalErrors(t)
		check(t, os.WriteFile(filepath.Join(secret.dir, "..data", "tls.key"), next.Key, 0o600))
		eventually(t, 20*time.Second, func() error {
			if s.renewalErrors(t) == before {
				return errors.New("no failure is counted")
			}
			return nil
		})
		check(t, s.product.Ready(t.Context()))
		check(t, os.WriteFile(filepath.Join(secret.dir, "..data", "tls.crt"), next.Cert, 0o600))
		s.awaitServed(t, s.product, next)
	})
	t.Run("another authority", func(t *testing.T) {
		authority, err := controlplane.NewCA("another")
		check(t, err)
		next := s.serving(t, authority)
		s.setBundles(t, append(authority.PEM(), s.stock.CA.PEM()...))
		flood.awaitConnects(t, 4) // until then it will have learnt of the bundle
		secret.mount(t, next)
		s.awaitServed(t, s.product, next)
		s.setBundles(t, authority.PEM())
		flood.awaitConnects(t, 4)
	})
	flood.end(t)
	back := s.serving(t, s.stock.CA)
	s.setBundles(t, s.stock.CA.PEM())
	secret.mount(t, back)
	s.awaitServed(t, s.product, back)
	check(t, s.product.AwaitCalled(t.Context(), s.stock.APIServer))
}

// testClientCertificates has the authority that signed the certificates of all kubelets decide on clients, too.
func (s *suite) testClientCertificates(t *testing.T) {
	const node, name = "cert-clients", "node-restriction-plus-client"
	kubelet := s.offender(t, node)
	authority := filepath.Join(s.dir, "client-ca.crt")
	check(t, os.WriteFile(authority, s.stock.CA.PEM(), 0o644))
	pinned, err := s.stock.CA.Client(name)
	check(t, err)
	server, err := s.stock.AddAPIServer(t.Context(), controlplane.APIServerOptions{
		Args: []string{"--admission-control-config-file=" + s.writeAdmissionConfiguration(t, pinned)},
	})
	check(t, err)
	check(t, s.product.Stop())
	check(t, s.product.Run(t.Context(), "--client-ca-file="+authority, "--client-allowed-names="+name))
	check(t, s.product.AwaitCalled(t.Context(), server))

	t.Run("the API server with the certificate", func(t *testing.T) {
		first, err := s.product.Records.Len()
		check(t, err)
		config, err := server.Kubelet(node)
		newCaller(t, config, err).offend(t, node)
		records, err := s.product.Records.Since(first)
		check(t, err)
		if len(records) != 1 || records[0].ClientAuth != record.ClientAuthMTLS {
			t.Errorf("want one record with a client certificate, got %v", records)
		}
	})
	t.Run("the API server without one", func(t *testing.T) {
		a, err := kubelet.do(t.Context(), patchStatus(node, addsFinalizer))
		check(t, err)
		if a.code != http.StatusInternalServerError || !strings.Contains(a.Message, "failed calling webhook") {
			t.Errorf("got %s", a)
		}
	})
	foreign, err := controlplane.NewCA("foreign")
	check(t, err)
	for _, test := range []struct {
		name, user, group string
		authority         *controlplane.CA
		answered          bool
	}{
		{"a kubelet", "system:node:" + node, "system:nodes", s.stock.CA, false},
		{"an administrator", "admin", "system:masters", s.stock.CA, false},
		{"the name of another authority", name, "", foreign, false},
		{"the name", name, "", s.stock.CA, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cert, err := test.authority.Client(test.user, test.group)
			check(t, err)
			if err := s.ask(t, cert); (err == nil) != test.answered {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		if s.ask(t, controlplane.Certificate{}) == nil {
			t.Error("a client without a certificate is answered")
		}
	})
	check(t, s.product.Stop())
	check(t, s.product.Run(t.Context()))
	check(t, s.product.AwaitCalled(t.Context(), s.stock.APIServer))
}

// writeAdmissionConfiguration writes what gives an API server a client certificate for the product, and nothing else.
func (s *suite) writeAdmissionConfiguration(t *testing.T, client controlplane.Certificate) string {
	t.Helper()
	dir := filepath.Join(s.dir, "admission")
	check(t, client.Write(dir))
	host, err := url.Parse(s.product.URL)
	check(t, err)
	kubeconfig, configuration := filepath.Join(dir, "clients.kubeconfig"), filepath.Join(dir, "admission.yaml")
	check(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
users:
- name: %s
  user:
    client-certificate: %s
    client-key: %s
`, host.Host, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")), 0o600))
	check(t, os.WriteFile(configuration, fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ValidatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %s
`, kubeconfig), 0o600))
	return configuration
}

// ask sends the product something as a client with a certificate. The error says that there was no answer.
func (s *suite) ask(t *testing.T, client controlplane.Certificate) error {
	t.Helper()
	h, err := rest.HTTPClientFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{
		CAData: s.stock.CA.PEM(), CertData: client.Cert, KeyData: client.Key,
	}})
	check(t, err)
	defer h.CloseIdleConnections()
	request, err := http.NewRequestWithContext(within(t, 10*time.Second), http.MethodPost, s.product.URL+"/admit",
		strings.NewReader("{}"))
	check(t, err)
	request.Header.Set("Content-Type", mediaJSON)
	response, err := h.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// serving is a certificate for the product.
func (s *suite) serving(t *testing.T, authority *controlplane.CA) controlplane.Certificate {
	t.Helper()
	cert, err := authority.Server()
	check(t, err)
	return cert
}

// awaitServed waits until the product serves a certificate to who connects.
func (s *suite) awaitServed(t *testing.T, p *product.Product, want controlplane.Certificate) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		got, err := served(t, p)
		if err == nil && !bytes.Contains(want.Cert, toPEM(got)) {
			err = fmt.Errorf("it serves certificate %x", got.SerialNumber)
		}
		return err
	})
}

// served is the certificate that a product serves to who connects.
func served(t *testing.T, p *product.Product) (*x509.Certificate, error) {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // what is served is looked at afterwards
	connection, err := dialer.DialContext(within(t, 10*time.Second), "tcp", strings.TrimPrefix(p.URL, "https://"))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

func (s *suite) renewalErrors(t *testing.T) float64 {
	t.Helper()
	m, err := s.product.Metrics(t.Context())
	check(t, err)
	return m.Sum("node_restriction_plus_certificate_reload_errors_total", "file", "serving-certificate")
}

// changeBundles changes the bundle of every webhook. Others may change them at the same time.
func (s *suite) changeBundles(ctx context.Context, change func([]byte) []byte) error {
	configurations := s.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		c, err := configurations.Get(ctx, "node-restriction-plus", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for i := range c.Webhooks {
			c.Webhooks[i].ClientConfig.CABundle = change(c.Webhooks[i].ClientConfig.CABundle)
		}
		_, err = configurations.Update(ctx, c, metav1.UpdateOptions{})
		return err
	})
}

func (s *suite) setBundles(t *testing.T, bundle []byte) {
	t.Helper()
	check(t, s.changeBundles(t.Context(), func([]byte) []byte { return bundle }))
}

// reconnect has the API server open new connections: it keeps them for as long as a webhook's bundle stays the same to
// the byte.
func (s *suite) reconnect(t *testing.T) {
	t.Helper()
	check(t, s.changeBundles(t.Context(), appendNewline))
}

func appendNewline(bundle []byte) []byte { return append(bundle, '\n') }

// flood is a kubelet that writes what is denied, from several connections, while the API server connects anew again and
// again.
type flood struct {
	stop func()

	mu       sync.Mutex
	writes   int
	failed   map[string]int // by what the answer was
	connects int
}

func (s *suite) startFlood(t *testing.T, kubelet caller, node string) *flood {
	t.Helper()
	const clients = 4
	ctx, cancel := context.WithCancel(t.Context())
	f := &flood{failed: map[string]int{}}
	var group sync.WaitGroup
	f.stop = func() {
		cancel()
		group.Wait()
	}
	t.Cleanup(f.stop)
	for range clients {
		group.Go(func() {
			for pace := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-pace.C {
				f.write(context.WithoutCancel(ctx), kubelet, node)
			}
		})
	}
	group.Go(func() {
		for pace := time.NewTicker(500 * time.Millisecond); ctx.Err() == nil; <-pace.C {
			if err := s.changeBundles(context.WithoutCancel(ctx), appendNewline); err != nil {
				t.Errorf("cannot have the API server connect anew: %v", err)
			}
			f.mu.Lock()
			f.connects++
			f.mu.Unlock()
		}
	})
	return f
}

func (f *flood) write(ctx context.Context, kubelet caller, node string) {
	text := ""
	a, err := kubelet.do(ctx, patchStatus(node, addsFinalizer))
	if err != nil {
		text = err.Error()
	} else if _, message := a.deniedBy(); a.code != http.StatusForbidden || message == "" {
		text = a.String()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if text != "" {
		f.failed[text]++
	}
}

// awaitConnects waits until the API server was made to connect anew so many times more.
func (f *flood) awaitConnects(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.connects
	}
	first := count()
	eventually(t, time.Minute, func() error {
		if got := count() - first; got < n {
			return fmt.Errorf("it was made to connect %d times, want %d", got, n)
		}
		return nil
	})
}

// end ends it and fails the test if a write was not denied by us.
func (f *flood) end(t *testing.T) {
	t.Helper()
	f.stop()
	for text, n := range f.failed {
		t.Errorf("%d writes: %s", n, text)
	}
	t.Logf("%d writes, while the API server was made to connect anew %d times", f.writes, f.connects)
}

func toPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// secretFolder holds a pair as a kubelet mounts a Secret: the names are links through the link ..data, which is
// replaced in one step.
type secretFolder struct {
	dir     string
	version int
}

func (s *secretFolder) mount(t *testing.T, c controlplane.Certificate) {
	t.Helper()
	s.version++
	version := fmt.Sprintf("..version-%d", s.version)
	check(t, c.Write(filepath.Join(s.dir, version)))
	data, fresh := filepath.Join(s.dir, "..data"), filepath.Join(s.dir, "..data_tmp")
	check(t, os.Symlink(version, fresh))
	check(t, os.Rename(fresh, data))
	if s.version > 1 {
		check(t, os.RemoveAll(filepath.Join(s.dir, fmt.Sprintf("..version-%d", s.version-1))))
		return
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		check(t, os.Symlink(filepath.Join("..data", name), filepath.Join(s.dir, name)))
	}
}
