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
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
)

// madeUp begins the tokens that nobody has issued.
const madeUp = "made-up-"

// authenticator is a webhook that an API server asks about the tokens that it does not know itself. It has no answer about
// made-up ones.
type authenticator struct {
	server *httptest.Server
	asked  chan struct{} // gets a value for each made-up token
}

func startAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	a := &authenticator{asked: make(chan struct{}, 1024)}
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
		a.asked <- struct{}{}
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "application/json")
	review.Spec, review.Status = authenticationv1.TokenReviewSpec{}, authenticationv1.TokenReviewStatus{}
	_ = json.NewEncoder(w).Encode(&review)
}

// configuration writes the file that tells an API server of the webhook, and returns its path.
func (a *authenticator) configuration(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "authenticator.kubeconfig")
	check(t, os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: %q}}]
users: [{name: a}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
`, a.server.URL), 0o600))
	return path
}

// TestScrapesDoNotWaitBehindMadeUpTokens keeps all questions of a replica busy with made-up tokens from one address.
func TestScrapesDoNotWaitBehindMadeUpTokens(t *testing.T) {
	dir := t.TempDir()
	webhook := startAuthenticator(t)
	plane, err := controlplane.Start(t.Context(), controlplane.Options{
		Dir: dir, Log: t.Output(), APIServer: controlplane.APIServerOptions{Args: []string{
			"--authentication-token-webhook-config-file=" + webhook.configuration(t, dir),
			"--authentication-token-webhook-version=v1",
		}},
	})
	check(t, err)
	t.Cleanup(plane.Stop)
	config, err := plane.Admin()
	check(t, err)
	admin, err := kubernetes.NewForConfig(config)
	check(t, err)
	replica := startReplica(t, plane, config, dir)
	letRead(t, admin, "reader")

	known := token(t, admin, "reader")
	scrape(t, plane, replica, "127.0.0.3", known)
	end := flood(t, plane, replica, "127.0.0.2", 64)
	defer end()
	<-webhook.asked // now they are asked about
	scrape(t, plane, replica, "127.0.0.3", known)
	scrape(t, plane, replica, "127.0.0.3", token(t, admin, "reader"))
	scrape(t, plane, replica, "127.0.0.4", token(t, admin, "reader"))
}

// startReplica starts a replica that serves its metrics as in a cluster.
func startReplica(t *testing.T, plane *controlplane.ControlPlane, config *rest.Config, dir string) *product.Product {
	t.Helper()
	root, err := project.Root()
	check(t, err)
	definition, err := os.ReadFile(filepath.Join(root, "config", "crd", "noderestriction.plus_noderestrictionpolicies.yaml"))
	check(t, err)
	client := kubectl.Kubectl{Kubeconfig: filepath.Join(dir, "admin.kubeconfig")}
	client.Path, err = binaries.Path(t.Context(), t.Output(), binaries.Kubectl())
	check(t, err)
	check(t, controlplane.WriteKubeconfig(client.Kubeconfig, config))
	check(t, client.Apply(t.Context(), definition))
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	check(t, err)
	p, err := product.Start(t.Context(), product.Options{
		Binary: binary, Dir: filepath.Join(dir, "product"), Config: config, CA: plane.CA, SecureMetrics: true,
	})
	check(t, err)
	t.Cleanup(func() { check(t, p.Stop()) })
	return p
}

// letRead makes a service account that may read the metrics.
func letRead(t *testing.T, admin kubernetes.Interface, account string) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: account}
	_, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta},
		metav1.CreateOptions{})
	check(t, err)
	_, err = admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	check(t, err)
	_, err = admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: account},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: "default"}},
	}, metav1.CreateOptions{})
	check(t, err)
}

func token(t *testing.T, admin kubernetes.Interface, account string) string {
	t.Helper()
	request, err := admin.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account,
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	check(t, err)
	return request.Status.Token
}

// scraper is a client that connects from an address.
func scraper(t *testing.T, plane *controlplane.ControlPlane, address string) *http.Client {
	t.Helper()
	config, err := rest.TLSConfigFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: plane.CA.PEM()}})
	check(t, err)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{TLSClientConfig: config, DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

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

func scrape(t *testing.T, plane *controlplane.ControlPlane, p *product.Product, from, token string) {
	t.Helper()
	began := time.Now()
	status, err := show(t.Context(), scraper(t, plane, from), p.MetricsURL, token)
	check(t, err)
	t.Logf("a scrape from %s got %d after %s", from, status, time.Since(began).Round(time.Millisecond))
	if status != http.StatusOK {
		t.Errorf("a scrape from %s got %d", from, status)
	}
}

// flood shows made-up tokens from an address, on so many connections, until it is ended.
func flood(t *testing.T, plane *controlplane.ControlPlane, p *product.Product, from string, connections int) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range connections {
		client := scraper(t, plane, from)
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				status, err := show(ctx, client, p.MetricsURL, fmt.Sprint(madeUp, i, "-", n))
				if err != nil {
					continue // it ends, or the connection made room for another
				}
				mu.Lock()
				statuses[status]++
				mu.Unlock()
				select { // what is refused at once is not sent again at once
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
			t.Errorf("%d made-up tokens could read", statuses[http.StatusOK])
		}
	}
}
