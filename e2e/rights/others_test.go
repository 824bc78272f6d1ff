// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/rights"
)

// testAuditLog tests that the use of a widened permission is found in the audit log of the API server, with its agent, and that permissions that
// the Node authorizer intends are not.
func (c *cluster) testAuditLog(t *testing.T) {
	config, err := c.ControlPlane.Kubelet(node)
	suite.Check(t, err)
	config.UserAgent = "agent-of-the-test/1.0"
	kubelet, err := kubernetes.NewForConfig(config)
	suite.Check(t, err)
	for range 3 {
		_, err = kubelet.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})
		suite.Check(t, err)
	}
	_, err = kubelet.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
	suite.Check(t, err)
	_, err = kubelet.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	suite.Check(t, err)
	_, err = kubelet.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=settings"})
	suite.Check(t, err)
	dump := filepath.Join(t.TempDir(), "dump.json")
	suite.Check(t, os.WriteFile(dump, []byte(run(t, "--kubeconfig", c.Kubectl.Kubeconfig, "--dump").out), 0o600))
	suite.Eventually(t, 30*time.Second, func() error {
		a := run(t, node, "--audit-log", c.ControlPlane.AuditLog, "--from", dump, "-o", "json")
		u := &rights.Usage{}
		if err := json.Unmarshal([]byte(a.out), u); err != nil || a.code != command.CodeNo {
			return fmt.Errorf("exit code %d: %s: %w", a.code, a.errors, err)
		}
		var used []string
		for _, use := range u.Items {
			if use.UserAgent == config.UserAgent {
				used = append(used, fmt.Sprintf("%s %s %s by %s, %d times", use.Class, use.Verb, use.Resource, use.Binding, use.Count))
			}
		}
		if want := []string{"widened list secrets by ClusterRoleBinding everything-of-a-node, 3 times"}; !slices.Equal(used, want) {
			return fmt.Errorf("used: %q, want %q", used, want)
		}
		for _, b := range u.Bindings {
			if b.Binding == "ClusterRoleBinding everything-of-a-node" && (b.Used == 0 || b.Used >= b.Rights || b.Uses < 3) ||
				b.Binding == "RoleBinding kube-public/license" && b.Uses > 0 {
				return fmt.Errorf("%+v", b)
			}
		}
		if len(u.Bindings) != 5 {
			return fmt.Errorf("bindings: %+v", u.Bindings)
		}
		return nil
	})
}

// hostileReason is as long as an authorizer likes, and would change a terminal and end a page.
func hostileReason() string {
	return "\x1b[2J</td><script>alert(1)</script>\u202eRBAC: allowed by ClusterRoleBinding \"x\" " + strings.Repeat("A", 1<<20)
}

// testOtherAuthorizers tests API servers whose authorizers are others than Node and RBAC in this order.
func (c *cluster) testOtherAuthorizers(t *testing.T) {
	dir := t.TempDir()
	abac := filepath.Join(dir, "abac.jsonl")
	suite.Check(t, os.WriteFile(abac, []byte(`{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy",`+
		`"spec":{"group":"system:nodes","namespace":"*","resource":"deployments","apiGroup":"apps","readonly":true}}`+"\n"), 0o600))
	webhook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if a := review.Spec.ResourceAttributes; a != nil && a.Resource == "daemonsets" && strings.HasPrefix(review.Spec.User, authorization.NodeUserPrefix) {
			review.Status.Allowed, review.Status.Reason = true, hostileReason()
		}
		if a := review.Spec.ResourceAttributes; a != nil && a.Resource == "ingressclasses" {
			review.Status.Allowed = true // neither the table nor RBAC has a word about it
		}
		if a := review.Spec.ResourceAttributes; a != nil && a.Resource == "secrets" && a.Name == "" {
			review.Status.Denied, review.Status.Reason = true, "not here"
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(webhook.Close)
	kubeconfig := filepath.Join(dir, "webhook.kubeconfig")
	suite.Check(t, os.WriteFile(kubeconfig, []byte(fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"x","cluster":{"server":%q}}],`+
		`"contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}],"users":[{"name":"x","user":{}}],"current-context":"x"}`, webhook.URL)), 0o600))
	webhookEntry := `{"type":"Webhook","name":"hostile","webhook":{"timeout":"3s","subjectAccessReviewVersion":"v1",` +
		`"matchConditionSubjectAccessReviewVersion":"v1","authorizedTTL":"1s","unauthorizedTTL":"1s","failurePolicy":"NoOpinion",` +
		`"connectionInfo":{"type":"KubeConfigFile","kubeConfigFile":` + strconv.Quote(kubeconfig) + `}}}`
	const nodeEntry, rbacEntry = `{"type":"Node","name":"node"}`, `{"type":"RBAC","name":"rbac"}`
	for i, test := range []struct {
		name        string
		authorizers []string
		args        []string
		check       func(*testing.T, *controlplane.APIServer)
	}{
		{"RBAC before Node", []string{rbacEntry, nodeEntry}, nil, c.checkOrder},
		{"RBAC alone", []string{rbacEntry}, nil, c.checkWithoutNode},
		{"AlwaysAllow", []string{`{"type":"AlwaysAllow","name":"alwaysallow"}`}, nil, c.checkAlwaysAllow},
		{"ABAC", []string{nodeEntry, `{"type":"ABAC","name":"abac"}`, rbacEntry}, []string{"--authorization-policy-file=" + abac}, c.checkABAC},
		{"webhook", []string{nodeEntry, webhookEntry, rbacEntry}, nil, c.checkWebhook},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := filepath.Join(dir, fmt.Sprintf("authorization-%d.json", i))
			suite.Check(t, os.WriteFile(config, []byte(`{"apiVersion":"apiserver.config.k8s.io/v1","kind":"AuthorizationConfiguration",`+
				`"authorizers":[`+strings.Join(test.authorizers, ",")+`]}`), 0o600))
			server, err := c.ControlPlane.AddAPIServer(t.Context(), controlplane.APIServerOptions{AuthorizationConfig: config, Args: test.args})
			suite.Check(t, err)
			defer server.Stop()
			test.check(t, server)
		})
	}
}

func (c *cluster) admin(t *testing.T, server *controlplane.APIServer) string {
	t.Helper()
	return c.kubeconfig(t, server, "admin", "system:masters")
}

// checkOrder checks that permissions that the Node authorizer intends are not widened because RBAC allows them first.
func (c *cluster) checkOrder(t *testing.T, server *controlplane.APIServer) {
	r := report(t, command.CodeNo, node, "--kubeconfig", c.admin(t, server))
	if got, want := keys(r, rights.Widened), keys(c.widened, rights.Widened); !slices.Equal(got, want) {
		t.Errorf("widened: %q, want %q", without(got, want), without(want, got))
	}
	if len(keys(r, rights.Missing)) > 0 || r.NodeAuthorizer == "off" {
		t.Errorf("missing: %q, Node authorizer %s", keys(r, rights.Missing), r.NodeAuthorizer)
	}
}

// checkWithoutNode checks that nothing that the Node authorizer alone would allow counts as allowed.
func (c *cluster) checkWithoutNode(t *testing.T, server *controlplane.APIServer) {
	r := report(t, command.CodeNo, node, "--kubeconfig", c.admin(t, server), "--fail-on", "missing")
	if r.NodeAuthorizer != "off" || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "the Node authorizer is off") }) {
		t.Errorf("Node authorizer %s, notes %q", r.NodeAuthorizer, r.Notes)
	}
	if missing := keys(r, rights.Missing); !slices.Contains(missing, "create resourceslices.resource.k8s.io") {
		t.Errorf("missing: %q", missing)
	}
}

func (c *cluster) checkAlwaysAllow(t *testing.T, server *controlplane.APIServer) {
	r := report(t, command.CodeNo, node, "--kubeconfig", c.admin(t, server), "--refused")
	if len(keys(r, rights.Refused))+len(keys(r, rights.Missing)) > 0 || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "AlwaysAllow") }) {
		t.Errorf("refused %q, missing %q, notes %q", keys(r, rights.Refused), keys(r, rights.Missing), r.Notes)
	}
	if !slices.Contains(keys(r, rights.Widened), "* *.*") {
		t.Errorf("widened: %q", keys(r, rights.Widened))
	}
}

func (c *cluster) checkABAC(t *testing.T, server *controlplane.APIServer) {
	r := report(t, command.CodeNo, node, "--kubeconfig", c.admin(t, server))
	want := append(keys(c.widened, rights.Widened), "list deployments.apps")
	slices.Sort(want)
	if got := keys(r, rights.Widened); !slices.Equal(got, want) {
		t.Errorf("widened: %q, want %q", without(got, want), without(want, got))
	}
	i := slices.IndexFunc(r.Items, func(item rights.Right) bool { return key(&item) == "list deployments.apps" })
	if i < 0 || len(r.Items[i].Grants) > 0 || !strings.Contains(r.Items[i].Note, "another authorizer allows it") {
		t.Errorf("list deployments: %+v", r.Items[max(i, 0)])
	}
}

// checkWebhook checks a webhook that allows something with a hostile reason, and denies something that RBAC would allow.
func (c *cluster) checkWebhook(t *testing.T, server *controlplane.APIServer) {
	kubeconfig := c.admin(t, server)
	r := report(t, command.CodeNo, node, "--kubeconfig", kubeconfig, "--refused")
	widened := keys(r, rights.Widened)
	if !slices.Contains(widened, "delete daemonsets.apps kube-system nrp-rights-unrelated") || slices.Contains(widened, "list secrets") {
		t.Errorf("widened: %q", widened)
	}
	if slices.ContainsFunc(widened, aboutIngressClasses) {
		t.Errorf("widened without --full: %q", widened)
	}
	c.checkFull(t, kubeconfig)
	c.checkRepeat(t, server)
	for _, item := range r.Items {
		if strings.ContainsAny(item.Reason, "\x1b\u202e\n") || len(item.Reason) > 2048 {
			t.Errorf("%s: the reason has %d bytes: %q", key(&item), len(item.Reason), item.Reason[:min(len(item.Reason), 200)])
		}
		if key(&item) == "list secrets" && (item.Class != rights.Refused || !strings.Contains(item.Note, "RBAC grants it, and another authorizer denies it")) {
			t.Errorf("list secrets: %+v", item)
		}
	}
	for _, format := range []string{"text", "html"} {
		out := run(t, node, "--kubeconfig", kubeconfig, "-o", format).out
		if strings.ContainsAny(out, "\x1b\u202e") || strings.Contains(out, "<script>") && format == "html" || len(out) > 1<<20 {
			t.Errorf("-o %s shows the reason as it is, or %d bytes", format, len(out))
		}
	}
}

func aboutIngressClasses(key string) bool {
	return strings.Contains(key, "ingressclasses.networking.k8s.io")
}

// checkFull checks that --full finds what a webhook allows that neither the table nor RBAC names, and that less time than it needs is said
// before anything is asked.
func (c *cluster) checkFull(t *testing.T, kubeconfig string) {
	r := report(t, command.CodeNo, node, "--kubeconfig", kubeconfig, "--full")
	var got []string
	for _, key := range keys(r, rights.Widened) {
		if aboutIngressClasses(key) {
			got = append(got, key)
		}
	}
	var want []string
	for _, verb := range []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"} {
		want = append(want, verb+" ingressclasses.networking.k8s.io")
	}
	if !slices.Equal(got, want) {
		t.Errorf("widened with --full: %q, want %q", got, want)
	}
	a := run(t, node, "--kubeconfig", kubeconfig, "--full", "--repeat=20", "--qps=100", "--timeout=30s")
	if a.code != command.CodeNoAnswer || !strings.Contains(a.errors, "longer than --timeout allows") {
		t.Errorf("exit code %d: %s", a.code, a.errors)
	}
}

// checkRepeat checks that --repeat finds that one of two API servers behind a load balancer authorizes differently.
func (c *cluster) checkRepeat(t *testing.T, server *controlplane.APIServer) {
	config, err := server.User("admin", "system:masters")
	suite.Check(t, err)
	other, err := c.ControlPlane.User("admin", "system:masters")
	suite.Check(t, err)
	config.Host = "https://" + balance(t, strings.TrimPrefix(config.Host, "https://"), strings.TrimPrefix(other.Host, "https://"))
	r := report(t, command.CodeNo, node, "--kubeconfig", write(t, config), "--repeat=4")
	differing := 0
	for _, item := range r.Items {
		if !item.Inconsistent {
			continue
		}
		differing++
		if item.Resource != "daemonsets.apps" && item.Resource != "secrets" {
			t.Errorf("inconsistent: %s: %s", key(&item), item.Note)
		}
		if item.Class != rights.Widened || !strings.Contains(item.Note, "2 of 4 answers allow it: API servers authorize differently") {
			t.Errorf("%s is %s: %s", key(&item), item.Class, item.Note)
		}
	}
	if differing == 0 {
		t.Error("no permission is inconsistent")
	}
}

// balance forwards connections to addresses in turn, and returns the address at which it listens.
func balance(t *testing.T, addresses ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	suite.Check(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for n := 0; ; n++ {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go forward(connection, addresses[n%len(addresses)])
		}
	}()
	return listener.Addr().String()
}

func forward(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	go func() {
		defer to.Close()
		_, _ = io.Copy(to, from)
	}()
	_, _ = io.Copy(from, to)
}
