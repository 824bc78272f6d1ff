// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/metrics"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/authorizer"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/nodeauthorizer"
)

const node = "worker-1"

// environment is a stock API server and one with the entry, which share a store.
type environment struct {
	*suite.Suite
	stock, protected *server
	entry            *suite.Entry
}

// server is an API server with an administrator and a kubelet.
type server struct {
	*controlplane.APIServer
	admin   kubernetes.Interface
	kubelet *suite.Client
}

func newServer(t *testing.T, s *controlplane.APIServer) *server {
	t.Helper()
	config, err := s.Admin()
	suite.Check(t, err)
	admin, err := kubernetes.NewForConfig(config)
	suite.Check(t, err)
	return &server{s, admin, suite.Kubelet(t, s, node)}
}

// TestEntry compares a stock API server with one that has the entry: without and with bindings that give kubelets more.
func TestEntry(t *testing.T) {
	t.Parallel()
	e := &environment{Suite: suite.New(t, "authorizer", controlplane.APIServerOptions{AuditReads: true})}
	e.stock = newServer(t, e.ControlPlane.APIServer)
	address, calls := countCalls(t)
	e.entry = suite.NewEntry(t, e.Dir, address)
	protected, err := e.ControlPlane.AddAPIServer(t.Context(), controlplane.APIServerOptions{
		AuditReads: true, AuthorizationConfig: e.entry.Config,
	})
	suite.Check(t, err)
	e.protected = newServer(t, protected)
	// A controller fills in the rules of aggregated roles.
	suite.Check(t, e.ControlPlane.StartControllers(t.Context(), t.Output()))
	names := e.relate(t)

	t.Run("no widening", func(t *testing.T) { e.testCells(t, names) })
	for _, w := range widenings() {
		t.Run(w.name, func(t *testing.T) { e.testWidening(t, &w) })
	}
	t.Run("all widenings", func(t *testing.T) { e.testCells(t, names) })
	t.Run("what is kept", e.testKept)
	t.Run("other clients", e.testOthers)
	t.Run("metrics", e.testMetrics)
	t.Run("audit logs", e.testAuditLogs)
	t.Run("reload", e.testReload)
	t.Run("a missing kubeconfig", e.testMissingKubeconfig)
	if n := calls.Load(); n > 0 {
		t.Errorf("the webhook of the entry was called %d times", n)
	}
}

// ask asks an API server what the kubelet may do.
func (s *server) ask(t *testing.T, r *authorization.Request) authorizationv1.SubjectAccessReviewStatus {
	t.Helper()
	who := authorization.Kubelet(node)
	review, err := s.admin.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: who.User, Groups: who.Groups,
			ResourceAttributes: r.ResourceAttributes(), NonResourceAttributes: r.NonResourceAttributes(),
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	return review.Status
}

// testCells asks both API servers about everything that is worth asking. What Node intends must be allowed. Of the rest, what the entry
// leaves to RBAC must be answered as by the stock API server, and everything else denied.
func (e *environment) testCells(t *testing.T, names *nodeauthorizer.Names) {
	table, err := nodeauthorizer.New(nodeauthorizer.Newest, nil)
	suite.Check(t, err)
	entry := authorizer.NewEntry()
	allowed, denied, kept, widened := 0, 0, 0, 0
	for _, cell := range table.Cells() {
		request, ok := cell.Request(names)
		if !ok {
			t.Errorf("%s: there is no related object", cell.Key())
			continue
		}
		got, stock := e.protected.ask(t, &request), e.stock.ask(t, &request)
		switch {
		case cell.Intent != nodeauthorizer.Refused:
			allowed++
			if !got.Allowed {
				t.Errorf("%s is intended, and refused: %s %s", cell.Key(), got.Reason, got.EvaluationError)
			}
		case entry.Denies(&request):
			denied++
			if stock.Allowed {
				widened++
			}
			if got.Allowed || !got.Denied || !strings.Contains(got.EvaluationError, suite.EntryReason+node) {
				t.Errorf("%s is not denied: allowed %t, denied %t, %s %s", cell.Key(), got.Allowed, got.Denied, got.Reason, got.EvaluationError)
			}
		default:
			kept++
			if got.Denied || got.Allowed != stock.Allowed {
				t.Errorf("%s is left to RBAC, which allows it: %t; got allowed %t, denied %t", cell.Key(), stock.Allowed, got.Allowed, got.Denied)
			}
		}
	}
	t.Logf("%d cells allowed, %d denied (the stock API server allows %d of them), %d left to RBAC", allowed, denied, widened, kept)
	if allowed < 60 || denied < 80 || kept < 5 {
		t.Error("these are fewer cells than the table had")
	}
}

// widening is a binding that gives kubelets more than they need.
type widening struct {
	name, manifest string
	path           string // that only this binding allows to get
}

func binding(name, kind, role, subject string) string {
	return fmt.Sprintf(`---
apiVersion: rbac.authorization.k8s.io/v1
kind: %s
metadata: {name: %q, namespace: %q}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %s, name: %q}
subjects: [%s]
`, kind, name, map[bool]string{true: "kube-system"}[kind == "RoleBinding"], strings.TrimSuffix(kind, "Binding"), role, subject)
}

func widenings() []widening {
	const nodes = "{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:nodes'}"
	const self = "{apiGroup: rbac.authorization.k8s.io, kind: User, name: 'system:node:" + node + "'}"
	return []widening{
		{
			"a Role in kube-system", `---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: kube-system}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get, list]}]
` + binding("widening-role", "RoleBinding", "reader", nodes),
			"/api/v1/namespaces/kube-system/secrets",
		},
		{
			"an aggregated role", `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: whole}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {part-of: whole}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: part, labels: {part-of: whole}}
rules: [{apiGroups: [apps], resources: [deployments], verbs: [list]}]
` + binding("widening-aggregated", "ClusterRoleBinding", "whole", nodes),
			"/apis/apps/v1/deployments",
		},
		{
			"the role system:node for all kubelets", binding("widening-node", "ClusterRoleBinding", "system:node", nodes),
			"/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
		},
		{
			"cluster-admin for one kubelet", binding("widening-admin", "ClusterRoleBinding", "cluster-admin", self),
			"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
		},
	}
}

// testWidening shows that a binding gives a kubelet more, except where the entry is.
func (e *environment) testWidening(t *testing.T, w *widening) {
	get := suite.Request{Method: http.MethodGet, Path: w.path}
	if a := e.stock.kubelet.Send(t, get); a.Code != http.StatusForbidden {
		t.Errorf("without the binding: %s", a)
	}
	e.checkDenied(t, w.path)
	suite.Check(t, e.Kubectl.Apply(t.Context(), []byte(w.manifest)))
	suite.Eventually(t, timeout, func() error {
		if a := e.stock.kubelet.Send(t, get); a.Code == http.StatusForbidden {
			return errors.New(a.Text)
		}
		return nil
	})
	e.checkDenied(t, w.path)
}

// checkDenied checks that the API server with the entry denies the kubelet to get a path, and says why.
func (e *environment) checkDenied(t *testing.T, path string) {
	t.Helper()
	a := e.protected.kubelet.Send(t, suite.Request{Method: http.MethodGet, Path: path})
	if a.Code != http.StatusInternalServerError || !strings.Contains(a.Text, suite.EntryReason+node) {
		t.Errorf("%s is not denied: %s", path, a)
	}
}

// testKept sends requests that kubelets need and that RBAC decides, or Node.
func (e *environment) testKept(t *testing.T) {
	for _, path := range []string{
		"/api", "/api/v1", "/apis", "/apis/certificates.k8s.io/v1", "/openapi/v2", "/openapi/v3", "/version", "/readyz",
		"/api/v1/nodes?fieldSelector=metadata.name%3D" + node, "/api/v1/pods?fieldSelector=spec.nodeName%3D" + node, "/api/v1/services",
	} {
		if a := e.protected.kubelet.Send(t, suite.Request{Method: http.MethodGet, Path: path}); a.Code != http.StatusOK {
			t.Errorf("%s: %s", path, a)
		}
	}
	whoami := suite.Create("/apis/authentication.k8s.io/v1/selfsubjectreviews",
		`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`)
	if a := e.protected.kubelet.Send(t, whoami); a.Code != http.StatusCreated {
		t.Errorf("who am I: %s", a)
	}
	// What the NodeRestriction plugin asks, and the controller that approves certificates. cluster-admin allows all of it.
	for _, request := range []authorization.Request{
		{Verb: "request-serviceaccounts-token-audience", Resource: "https://vault.example.com", Namespace: "default", Name: "app"},
		{
			Verb: "request-serviceaccounts-podcertificate-signer", Group: "certificates.k8s.io", Resource: "example.com:signer",
			Namespace: "default", Name: "app",
		},
		{Verb: "create", Group: "certificates.k8s.io", Resource: "certificatesigningrequests", Subresource: "selfnodeclient"},
	} {
		if status := e.protected.ask(t, &request); !status.Allowed {
			t.Errorf("%s: %+v", request.String(), status)
		}
	}
}

// testOthers checks that the entry is for kubelets only.
func (e *environment) testOthers(t *testing.T) {
	suite.Check(t, e.Kubectl.Apply(t.Context(), []byte(binding("viewers", "ClusterRoleBinding", "view",
		"{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}, {apiGroup: rbac.authorization.k8s.io, kind: User, name: 'system:node'}, "+
			"{apiGroup: rbac.authorization.k8s.io, kind: User, name: 'a:system:node:b'}"))))
	for _, user := range []string{"alice", "system:node", "a:system:node:b"} {
		config, err := e.protected.User(user)
		suite.Check(t, err)
		client, err := suite.NewClient(config)
		suite.Check(t, err)
		suite.Eventually(t, timeout, func() error {
			if a := client.Send(t, suite.Request{Method: http.MethodGet, Path: "/api/v1/pods"}); a.Code != http.StatusOK {
				return errors.New(a.String())
			}
			return nil
		})
	}
	// An administrator in place of a kubelet.
	suite.Check(t, e.Administer(e.protected.APIServer))
	out, err := e.Kubectl.Run(t.Context(), nil, "get", "secrets", "-A", "--as=system:node:"+node, "--as-group=system:nodes",
		"--as-group=system:authenticated")
	suite.Check(t, e.Administer(e.stock.APIServer))
	if err == nil || !strings.Contains(err.Error(), suite.EntryReason+node) {
		t.Errorf("kubectl --as: %v\n%s", err, out)
	}
	t.Log(err)
	// A name that begins like a kubelet's is denied, whatever its groups.
	config, err := e.protected.User("system:node:" + node)
	suite.Check(t, err)
	client, err := suite.NewClient(config)
	suite.Check(t, err)
	a := client.Send(t, suite.Request{Method: http.MethodGet, Path: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"})
	if a.Code != http.StatusInternalServerError {
		t.Errorf("without the group of kubelets: %s", a)
	}
}

// testMetrics checks the metrics that the documentation and the alerts name.
func (e *environment) testMetrics(t *testing.T) {
	m, err := metrics.FromAPIServer(t.Context(), e.protected.admin)
	suite.Check(t, err)
	labels := []string{"type", "Webhook", "name", "node-restriction-plus"}
	denied := m.Sum("apiserver_authorization_decisions_total", append(labels, "decision", "denied")...)
	failed := m.Sum("apiserver_authorization_match_condition_evaluation_errors_total", labels...)
	excluded := m.Sum("apiserver_authorization_match_condition_exclusions_total", labels...)
	if denied < 100 || failed < denied || excluded == 0 {
		t.Errorf("%v denied, %v failed, %v excluded", denied, failed, excluded)
	}
	for _, series := range m["apiserver_authorization_match_condition_evaluation_seconds"].GetMetric() {
		h := series.GetHistogram()
		t.Logf("%d evaluations, %.0f µs on average", h.GetSampleCount(), 1e6*h.GetSampleSum()/float64(h.GetSampleCount()))
	}
	if n := m.Sum("apiserver_authorization_decisions_total", append(labels, "decision", "allowed")...); n != 0 {
		t.Errorf("the entry has allowed %v requests", n)
	}
}

// finding is a finding of the command check.
type finding struct {
	Effect   authorizer.Effect `json:"effect"`
	Verb     string            `json:"verb"`
	Target   string            `json:"target"`
	Reason   string            `json:"reason"`
	Requests int               `json:"requests"`
}

// testAuditLogs checks what the command says of the audit logs of both API servers.
func (e *environment) testAuditLogs(t *testing.T) {
	var report struct {
		Items  []finding `json:"items"`
		Failed int       `json:"failed"`
	}
	check := func(log string) error {
		out, err := suite.Authorizer(t, "check", "--audit-log", log, "--kubernetes", "1.37", "-o", "json")
		suite.Check(t, json.Unmarshal([]byte(out), &report))
		return err
	}
	if err := check(e.stock.AuditLog); command.ExitCode(err) != command.CodeNo {
		t.Errorf("the stock API server: %v", err)
	}
	for _, w := range []string{"widening-node", "widening-aggregated", "widening-role", "widening-admin"} {
		if !slices.ContainsFunc(report.Items, func(f finding) bool {
			return f.Effect == authorizer.Denied && strings.Contains(f.Reason, w)
		}) {
			t.Errorf("nothing is found that %s allows: %+v", w, report.Items)
		}
	}
	if err := check(e.protected.AuditLog); err != nil || report.Failed == 0 {
		t.Errorf("the API server with the entry: %v, %d denied: %+v", err, report.Failed, report.Items)
	}
}

// testReload replaces the file: by a bad one, one without the entry, one with the entry inserted again, and none.
func (e *environment) testReload(t *testing.T) {
	const path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
	good, err := os.ReadFile(e.entry.Config)
	suite.Check(t, err)
	failures := func() float64 {
		m, err := metrics.FromAPIServer(t.Context(), e.protected.admin)
		suite.Check(t, err)
		return m.Sum("apiserver_authorization_config_controller_automatic_reloads_total", "status", "failure")
	}
	awaitFailure := func(before float64) {
		t.Helper()
		suite.Eventually(t, 2*timeout, func() error { // the API server also reads the file every minute
			if failures() == before {
				return errors.New("no reload has failed")
			}
			return nil
		})
		e.checkDenied(t, path)
	}
	before := failures()
	e.entry.Write(t, strings.Replace(string(good), "- type: RBAC\n  name: rbac\n", "", 1))
	awaitFailure(before)
	log, err := os.ReadFile(e.protected.LogFile())
	suite.Check(t, err)
	if !strings.Contains(string(log), "missing required types: [RBAC]") {
		t.Error("the log does not name the error")
	}

	get := suite.Request{Method: http.MethodGet, Path: path}
	e.entry.Write(t, suite.WithoutEntry)
	took := suite.Eventually(t, 2*timeout, func() error {
		if a := e.protected.kubelet.Send(t, get); a.Code != http.StatusOK {
			return errors.New(a.String())
		}
		return nil
	})
	t.Logf("without the entry after %s", took)
	inserted := suite.MustAuthorizer(t, "generate", "--kubeconfig-path", e.entry.Kubeconfig, "--insert-into", e.entry.Config)
	e.entry.Write(t, inserted)
	took = suite.Eventually(t, 2*timeout, func() error {
		if a := e.protected.kubelet.Send(t, get); a.Code != http.StatusInternalServerError {
			return errors.New(a.String())
		}
		return nil
	})
	t.Logf("with the entry after %s", took)
	if out, err := suite.Authorizer(t, "check", "--config", e.entry.Config); err != nil {
		t.Errorf("%v\n%s", err, out)
	}

	before = failures()
	suite.Check(t, os.Remove(e.entry.Config))
	awaitFailure(before)
}

// testMissingKubeconfig shows that an API server does not start without the kubeconfig.
func (e *environment) testMissingKubeconfig(t *testing.T) {
	missing := suite.NewEntry(t, t.TempDir(), "")
	suite.Check(t, os.Remove(missing.Kubeconfig))
	_, err := e.ControlPlane.AddAPIServer(t.Context(), controlplane.APIServerOptions{AuthorizationConfig: missing.Config})
	if err == nil || !strings.Contains(err.Error(), missing.Kubeconfig+": no such file or directory") {
		t.Errorf("got %v", err)
	}
}
