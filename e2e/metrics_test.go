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
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/product"
)

// gate is a replica that serves its metrics as in a cluster: with the rights that the chart gives, to those whom the API server
// lets read them.
type gate struct {
	*product.Product
	client *http.Client
	tokens []string // all that were shown
}

// testMetrics shows who may read the metrics, with the API server and without it.
func (s *pair) testMetrics(t *testing.T) {
	g := s.startGate(t)
	s.letRead(t, "reader", "another-reader", "late-reader", "former-reader")
	reader, stranger := s.token(t, "reader"), s.token(t, "stranger")
	former := s.token(t, "former-reader")
	s.forget(t, "former-reader", former)
	own := s.serviceAccountKey(t)
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	const get, head, path = http.MethodGet, http.MethodHead, "/metrics"
	for _, test := range []struct {
		name          string
		method, path  string
		authorization []string
		status        int
	}{
		{"whoever has no token is not known", get, path, nil, 401},
		{"a nonsense token is not known", get, path, []string{"Bearer nonsense"}, 401},
		{"an empty token is none", get, path, []string{"Bearer "}, 401},
		{"a token of a tab, which is none to the API server, makes nobody anonymous", get, path, []string{"Bearer \t x"}, 401},
		{"a token with something behind it is not known", get, path, []string{"Bearer " + reader + " x"}, 401},
		{"a token of more than 16 KiB is not known", get, path, []string{"Bearer " + strings.Repeat("x", 16<<10+1)}, 401},
		{"one of two tokens does not count", get, path, []string{"Bearer nonsense", "Bearer " + reader}, 401},
		{"a token is not a password", get, path, []string{"Basic " + reader}, 401},
		{"an expired token is not known", get, path, []string{"Bearer " + sign(t, own, reader, -time.Hour)}, 401},
		{"a token that another key has signed is not known", get, path, []string{"Bearer " + sign(t, foreign, reader, time.Hour)}, 401},
		{"a token for others is not known", get, path, []string{"Bearer " + s.token(t, "reader", "others")}, 401},
		{"the token of an account that is gone is not known", get, path, []string{"Bearer " + former}, 401},
		{"an account without the right must not read", get, path, []string{"Bearer " + stranger}, 403},
		{"an account without the right must not ask for headers", head, path, []string{"Bearer " + stranger}, 403},
		{"an account with the right reads", get, path, []string{"Bearer " + reader}, 200},
		{"an account with the right reads again", get, path, []string{"Bearer " + reader}, 200},
		{"the scheme may be in small letters", get, path, []string{"bearer " + reader}, 200},
		{"a token that is signed as the expired one is known", get, path, []string{"Bearer " + sign(t, own, reader, time.Hour)}, 200},
		{"a query changes nothing", get, path + "?a=b", []string{"Bearer " + reader}, 200},
		{"the right to get is not one to head", head, path, []string{"Bearer " + reader}, 403},
		{"nobody can post", http.MethodPost, path, []string{"Bearer " + reader}, 405},
		{"a method of one's own is none", "GETGETGET", path, []string{"Bearer " + reader}, 405},
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

// testMetricsAway takes the API server away from the replica.
func (s *pair) testMetricsAway(t *testing.T, g *gate) {
	const get, path = http.MethodGet, "/metrics"
	known, late := []string{"Bearer " + s.token(t, "another-reader")}, []string{"Bearer " + s.token(t, "late-reader")}
	g.check(t, get, path, known, http.StatusOK)
	s.open.Stop()
	for _, test := range []struct {
		name          string
		authorization []string
		status        int
	}{
		{"a token that was asked about a moment ago reads", known, 200},
		{"nothing can be said of a token that was not asked about", late, 503},
		{"it can be asked about again, and nothing can be said again", late, 503},
		{"nothing can be said of a nonsense token", []string{"Bearer other-nonsense"}, 503},
		{"whoever has no token is not known", nil, 401},
	} {
		t.Run(test.name, func(t *testing.T) { g.check(t, get, path, test.authorization, test.status) })
	}
	check(t, s.open.Run(t.Context()))
	check(t, s.product.AwaitCalled(t.Context(), s.open))
	t.Run("it reads as soon as the API server is back", func(t *testing.T) { g.check(t, get, path, late, http.StatusOK) })
}

// startGate starts a replica with the rights of the chart. Its API server is the open one.
func (s *pair) startGate(t *testing.T) *gate {
	t.Helper()
	s.grantRights(t)
	config, err := s.open.User("system:serviceaccount:" + releaseNamespace + ":node-restriction-plus")
	check(t, err)
	p, err := product.Start(t.Context(), product.Options{
		Binary: s.product.Binary(), Dir: filepath.Join(s.dir, "gate"), Config: config, CA: s.stock.CA, SecureMetrics: true,
		Args: []string{"--log-level=debug"},
	})
	check(t, err)
	t.Cleanup(func() { check(t, p.Stop()) })
	client, err := rest.HTTPClientFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: s.stock.CA.PEM()}})
	check(t, err)
	return &gate{Product: p, client: client}
}

// check asks the replica and checks that it answers with this status, and with nothing else if that is an error.
func (g *gate) check(t *testing.T, method, path string, authorization []string, status int) {
	t.Helper()
	for _, value := range authorization {
		if _, token, _ := strings.Cut(value, " "); token != "" {
			g.tokens = append(g.tokens, token)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(g.MetricsURL, "/metrics")+path, http.NoBody)
	check(t, err)
	request.Header["Authorization"] = authorization
	response, err := g.client.Do(request)
	check(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	check(t, err)
	text := string(body)
	if response.StatusCode != status {
		t.Fatalf("got %s: %.200q, want %d", response.Status, text, status)
	}
	switch {
	case status == http.StatusOK && !strings.Contains(text, "\nnode_restriction_plus_build_info{"):
		t.Errorf("there are no metrics: %.200q", text)
	case status == http.StatusUnauthorized && response.Header.Get("WWW-Authenticate") != "Bearer":
		t.Errorf("the headers do not say what to show: %v", response.Header)
	case status == http.StatusMethodNotAllowed && response.Header.Get("Allow") != "GET, HEAD":
		t.Errorf("the headers do not say what is allowed: %v", response.Header)
	case method == http.MethodHead && text != "":
		t.Errorf("there is a body: %q", text)
	case method != http.MethodHead && status != http.StatusOK && status != http.StatusNotFound && text != http.StatusText(status)+"\n":
		t.Errorf("the body is %q", text)
	}
}

// checkLog checks that the log says that the API server was away, once, and that no token is in it.
func (g *gate) checkLog(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(g.Process().LogFile())
	check(t, err)
	log := string(data)
	if n := strings.Count(log, "The API server did not say who may read"); n != 1 {
		t.Errorf("it is told %d times that the API server was away", n)
	}
	for _, token := range g.tokens {
		if len(token) > 20 && strings.Contains(log, token) {
			t.Errorf("a token is in the log: %.40q", token)
		}
	}
}

// letRead gives accounts the right to get the metrics.
func (s *pair) letRead(t *testing.T, accounts ...string) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "metrics-reader"}
	_, err := s.admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	check(t, err)
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
	}
	for _, account := range accounts {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{
			Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: releaseNamespace,
		})
	}
	_, err = s.admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{})
	check(t, err)
	for _, account := range append(accounts, "stranger") {
		_, err := s.admin.CoreV1().ServiceAccounts(releaseNamespace).Create(t.Context(),
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
		check(t, err)
	}
}

// token is a new token of an account. Without an audience it is for the API server.
func (s *pair) token(t *testing.T, account string, audiences ...string) string {
	t.Helper()
	token, err := s.admin.CoreV1().ServiceAccounts(releaseNamespace).CreateToken(t.Context(), account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	check(t, err)
	return token.Status.Token
}

// forget deletes an account and waits until the API server does not know its token any more.
func (s *pair) forget(t *testing.T, account, token string) {
	t.Helper()
	check(t, s.admin.CoreV1().ServiceAccounts(releaseNamespace).Delete(t.Context(), account, metav1.DeleteOptions{}))
	eventually(t, 30*time.Second, func() error {
		review, err := s.admin.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: token},
		}, metav1.CreateOptions{})
		if err == nil && review.Status.Authenticated {
			err = fmt.Errorf("the token of %s is known", account)
		}
		return err
	})
}

// serviceAccountKey is the key with which the API servers sign tokens.
func (s *pair) serviceAccountKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "service-account.key"))
	check(t, err)
	block, _ := pem.Decode(data)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	check(t, err)
	return key
}

// sign signs a token anew, which ends in so long.
func sign(t *testing.T, key *ecdsa.PrivateKey, token string, lasts time.Duration) string {
	t.Helper()
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	check(t, err)
	claims := map[string]any{}
	check(t, json.Unmarshal(payload, &claims))
	ends := time.Now().Add(lasts)
	claims["exp"], claims["iat"], claims["nbf"] = ends.Unix(), ends.Add(-2*time.Hour).Unix(), ends.Add(-2*time.Hour).Unix()
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(toJSON(t, claims))
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	check(t, err)
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature[:])
}
