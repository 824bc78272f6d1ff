// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package scrapes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// madeUp is the prefix of tokens that were never issued.
const madeUp = "made-up-"

// authenticator is a webhook that an API server calls for tokens that it does not know itself. It never answers about made-up ones.
type authenticator struct {
	server *httptest.Server
	called chan struct{} // gets a value for each made-up token
}

func startAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	a := &authenticator{called: make(chan struct{}, 1024)}
	a.server = httptest.NewServer(a)
	t.Cleanup(a.server.Close)
	return a
}

// ServeHTTP implements http.Handler.
func (a *authenticator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review authenticationv1.TokenReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if strings.HasPrefix(review.Spec.Token, madeUp) {
		a.called <- struct{}{}
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "application/json")
	review.Spec, review.Status = authenticationv1.TokenReviewSpec{}, authenticationv1.TokenReviewStatus{}
	_ = json.NewEncoder(w).Encode(&review)
}

// configuration writes the webhook configuration for an API server and returns its path.
func (a *authenticator) configuration(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "authenticator.kubeconfig")
	suite.Check(t, os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: %q}}]
users: [{name: a}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
`, a.server.URL), 0o600))
	return path
}

// TestScrapesDoNotWaitBehindMadeUpTokens occupies all token reviews of a replica with made-up tokens from one address.
func TestScrapesDoNotWaitBehindMadeUpTokens(t *testing.T) {
	webhook := startAuthenticator(t)
	s := suite.New(t, "tokens", controlplane.APIServerOptions{Args: []string{
		"--authentication-token-webhook-config-file=" + webhook.configuration(t, t.TempDir()),
		"--authentication-token-webhook-version=v1",
	}})
	replica, err := s.StartProduct(t.Context(), product.Options{SecureMetrics: true})
	suite.Check(t, err)
	t.Cleanup(func() { suite.Check(t, replica.Stop()) })
	suite.Check(t, suite.AllowMetrics(t.Context(), s.Admin, metav1.NamespaceDefault, "reader"))
	token := func() string {
		token, err := suite.Token(t.Context(), s.Admin, metav1.NamespaceDefault, "reader")
		suite.Check(t, err)
		return token
	}

	known := token()
	scrape(t, s, replica, "127.0.0.3", known)
	end := flood(t, s, replica, "127.0.0.2", 64)
	defer end()
	<-webhook.called // now they are under review
	scrape(t, s, replica, "127.0.0.3", known)
	scrape(t, s, replica, "127.0.0.3", token())
	scrape(t, s, replica, "127.0.0.4", token())
}

// scraper returns a client that connects from an address.
func scraper(t *testing.T, s *suite.Suite, address string) *http.Client {
	t.Helper()
	config, err := rest.TLSConfigFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: s.ControlPlane.CA.PEM()}})
	suite.Check(t, err)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{TLSClientConfig: config, DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// show sends a token.
func show(ctx context.Context, client *http.Client, url, token string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func scrape(t *testing.T, s *suite.Suite, p *product.Product, from, token string) {
	t.Helper()
	began := time.Now()
	status, err := show(t.Context(), scraper(t, s, from), p.MetricsURL, token)
	suite.Check(t, err)
	t.Logf("a scrape from %s got %d after %s", from, status, time.Since(began).Round(time.Millisecond))
	if status != http.StatusOK {
		t.Errorf("a scrape from %s got %d", from, status)
	}
}

// flood sends made-up tokens from an address on a number of connections until end is called.
func flood(t *testing.T, s *suite.Suite, p *product.Product, from string, connections int) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range connections {
		client := scraper(t, s, from)
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				status, err := show(ctx, client, p.MetricsURL, fmt.Sprint(madeUp, i, "-", n))
				if err != nil {
					continue // the flood ends, or the connection was evicted
				}
				mu.Lock()
				statuses[status]++
				mu.Unlock()
				select { // not a busy loop
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
		t.Logf("made-up tokens got %v", statuses)
		if statuses[http.StatusOK] > 0 {
			t.Errorf("%d made-up tokens were accepted", statuses[http.StatusOK])
		}
	}
}
