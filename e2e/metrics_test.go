// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// securedReplica is a replica that serves its metrics as in a cluster: with the permissions of the chart, to clients that the API
// server authorizes.
type securedReplica struct {
	*product.Product
	client *http.Client
	tokens []string // all tokens that were sent
}

// testMetrics shows which clients may read the metrics, with and without the API server.
func (s *pair) testMetrics(t *testing.T) {
	g := s.startReplica(t)
	const namespace = product.Name
	suite.Check(t, suite.AllowMetrics(t.Context(), s.Admin, namespace, "reader", "another-reader", "late-reader", "former-reader"))
	_, err := s.Admin.CoreV1().ServiceAccounts(namespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "stranger"}}, metav1.CreateOptions{})
	suite.Check(t, err)
	reader, stranger := s.token(t, "reader"), s.token(t, "stranger")
	former := s.token(t, "former-reader")
	s.forget(t, "former-reader", former)
	own := s.serviceAccountKey(t)
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Check(t, err)
	const get, head, path = http.MethodGet, http.MethodHead, "/metrics"
	for _, test := range []struct {
		name          string
		method, path  string
		authorization []string
		status        int
	}{
		{"no token is unauthorized", get, path, nil, 401},
		{"a nonsense token is unauthorized", get, path, []string{"Bearer nonsense"}, 401},
		{"an empty token is unauthorized", get, path, []string{"Bearer "}, 401},
		{"a token of a tab, which the API server ignores, is not anonymous", get, path, []string{"Bearer \t x"}, 401},
		{"a token with a suffix is unauthorized", get, path, []string{"Bearer " + reader + " x"}, 401},
		{"a token of more than 16 KiB is unauthorized", get, path, []string{"Bearer " + strings.Repeat("x", 16<<10+1)}, 401},
		{"two tokens are unauthorized", get, path, []string{"Bearer nonsense", "Bearer " + reader}, 401},
		{"a token is not a password", get, path, []string{"Basic " + reader}, 401},
		{"an expired token is unauthorized", get, path, []string{"Bearer " + sign(t, own, reader, -time.Hour)}, 401},
		{"a token signed with another key is unauthorized", get, path, []string{"Bearer " + sign(t, foreign, reader, time.Hour)}, 401},
		{"a token for another audience is unauthorized", get, path, []string{"Bearer " + s.token(t, "reader", "others")}, 401},
		{"the token of a deleted account is unauthorized", get, path, []string{"Bearer " + former}, 401},
		{"an account without permission is forbidden", get, path, []string{"Bearer " + stranger}, 403},
		{"an account without permission is forbidden to HEAD", head, path, []string{"Bearer " + stranger}, 403},
		{"an account with permission reads", get, path, []string{"Bearer " + reader}, 200},
		{"an account with permission reads again", get, path, []string{"Bearer " + reader}, 200},
		{"the scheme may be in lower case", get, path, []string{"bearer " + reader}, 200},
		{"a token signed like the expired one reads", get, path, []string{"Bearer " + sign(t, own, reader, time.Hour)}, 200},
		{"a query changes nothing", get, path + "?a=b", []string{"Bearer " + reader}, 200},
		{"permission to GET is not permission to HEAD", head, path, []string{"Bearer " + reader}, 403},
		{"POST is not allowed", http.MethodPost, path, []string{"Bearer " + reader}, 405},
		{"an unknown method is not allowed", "GETGETGET", path, []string{"Bearer " + reader}, 405},
		{"nothing is above the metrics", get, "/", []string{"Bearer " + reader}, 404},
		{"nothing is below the metrics", get, "/metrics/node", []string{"Bearer " + reader}, 404},
		{"there are no profiles beside the metrics", get, "/debug/pprof/", []string{"Bearer " + reader}, 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			g.check(t, test.method, test.path, test.authorization, test.status)
		})
	}
	t.Run("without the API server", func(t *testing.T) { s.testMetricsAway(t, g) })
	g.checkLog(t)
}

// testMetricsAway stops the API server of the replica.
func (s *pair) testMetricsAway(t *testing.T, g *securedReplica) {
	const get, path = http.MethodGet, "/metrics"
	known, late := []string{"Bearer " + s.token(t, "another-reader")}, []string{"Bearer " + s.token(t, "late-reader")}
	g.check(t, get, path, known, http.StatusOK)
	s.open.Stop()
	for _, test := range []struct {
		name          string
		authorization []string
		status        int
	}{
		{"a recently reviewed token reads", known, 200},
		{"a token that was not reviewed is unavailable", late, 503},
		{"it is unavailable again", late, 503},
		{"a nonsense token is unavailable", []string{"Bearer other-nonsense"}, 503},
		{"no token is unauthorized", nil, 401},
	} {
		t.Run(test.name, func(t *testing.T) { g.check(t, get, path, test.authorization, test.status) })
	}
	suite.Check(t, s.open.Run(t.Context()))
	suite.Check(t, s.product.AwaitCalled(t.Context(), s.open))
	t.Run("the token reads as soon as the API server is back", func(t *testing.T) { g.check(t, get, path, late, http.StatusOK) })
}

// startReplica starts a replica with the permissions of the chart. Its API server is the open one.
func (s *pair) startReplica(t *testing.T) *securedReplica {
	t.Helper()
	s.applyRoles(t)
	config, err := s.open.User("system:serviceaccount:" + product.Name + ":node-restriction-plus")
	suite.Check(t, err)
	p, err := product.Start(t.Context(), product.Options{
		Binary: s.product.Binary(), Dir: filepath.Join(s.Dir, "secured"), Config: config, CA: s.ControlPlane.CA, SecureMetrics: true,
		Args: []string{"--log-level=debug"},
	})
	suite.Check(t, err)
	t.Cleanup(func() { suite.Check(t, p.Stop()) })
	client, err := rest.HTTPClientFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: s.ControlPlane.CA.PEM()}})
	suite.Check(t, err)
	return &securedReplica{Product: p, client: client}
}

// check sends a request and checks the status, and that an error has no further content.
func (g *securedReplica) check(t *testing.T, method, path string, authorization []string, status int) {
	t.Helper()
	for _, value := range authorization {
		if _, token, _ := strings.Cut(value, " "); token != "" {
			g.tokens = append(g.tokens, token)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(g.MetricsURL, "/metrics")+path, http.NoBody)
	suite.Check(t, err)
	request.Header["Authorization"] = authorization
	response, err := g.client.Do(request)
	suite.Check(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	suite.Check(t, err)
	text := string(body)
	if response.StatusCode != status {
		t.Fatalf("got %s: %.200q, want %d", response.Status, text, status)
	}
	switch {
	case status == http.StatusOK && !strings.Contains(text, "\nnode_restriction_plus_build_info{"):
		t.Errorf("the body has no metrics: %.200q", text)
	case status == http.StatusUnauthorized && response.Header.Get("WWW-Authenticate") != "Bearer":
		t.Errorf("the headers do not name the scheme: %v", response.Header)
	case status == http.StatusMethodNotAllowed && response.Header.Get("Allow") != "GET, HEAD":
		t.Errorf("the headers do not name the allowed methods: %v", response.Header)
	case method == http.MethodHead && text != "":
		t.Errorf("HEAD has a body: %q", text)
	case method != http.MethodHead && status != http.StatusOK && status != http.StatusNotFound && text != http.StatusText(status)+"\n":
		t.Errorf("the body is %q", text)
	}
}

// checkLog checks that the log reports once that the API server was down, and that it has no token.
func (g *securedReplica) checkLog(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(g.Process().LogFile())
	suite.Check(t, err)
	log := string(data)
	if n := strings.Count(log, `"msg":"Cannot authenticate or authorize a client through the API server"`); n != 1 {
		t.Errorf("the log says %d times that the API server was unavailable", n)
	}
	for _, token := range g.tokens {
		if len(token) > 20 && strings.Contains(log, token) {
			t.Errorf("a token is in the log: %.40q", token)
		}
	}
}

// token returns a new token of a service account, for the API server if no audience is named.
func (s *pair) token(t *testing.T, account string, audiences ...string) string {
	t.Helper()
	token, err := suite.Token(t.Context(), s.Admin, product.Name, account, audiences...)
	suite.Check(t, err)
	return token
}

// forget deletes an account and waits until the API server rejects its token.
func (s *pair) forget(t *testing.T, account, token string) {
	t.Helper()
	suite.Check(t, s.Admin.CoreV1().ServiceAccounts(product.Name).Delete(t.Context(), account, metav1.DeleteOptions{}))
	suite.Eventually(t, 30*time.Second, func() error {
		review, err := s.Admin.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: token},
		}, metav1.CreateOptions{})
		if err == nil && review.Status.Authenticated {
			err = fmt.Errorf("the token of %s is still accepted", account)
		}
		return err
	})
}

// serviceAccountKey returns the key with which the API servers sign tokens.
func (s *pair) serviceAccountKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Dir, "service-account.key"))
	suite.Check(t, err)
	block, _ := pem.Decode(data)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	suite.Check(t, err)
	return key
}

// sign signs the claims of a token again, with another time until they expire.
func sign(t *testing.T, key *ecdsa.PrivateKey, token string, lasts time.Duration) string {
	t.Helper()
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	suite.Check(t, err)
	claims := map[string]any{}
	suite.Check(t, json.Unmarshal(payload, &claims))
	ends := time.Now().Add(lasts)
	claims["exp"], claims["iat"], claims["nbf"] = ends.Unix(), ends.Add(-2*time.Hour).Unix(), ends.Add(-2*time.Hour).Unix()
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(suite.JSON(t, claims))
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	suite.Check(t, err)
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature[:])
}
