// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package guard_test holds the guard of the command compile to a real API server that reads it from a file, with the chart installed in a
// cluster: what cluster administrators can no longer do, and what must continue.
package guard_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/decisionlog"
)

const (
	tag  = "current"
	node = "worker-1"
	// patience bounds each wait, on a busy machine.
	patience = 3 * time.Minute
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// auditPolicy logs all writes, with the annotations of admission.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, verbs: [get, list, watch]}
- {level: Metadata}
`

// guarded is a cluster whose API server has the guard, and in which the chart is installed.
type guarded struct {
	*cluster.Cluster
	// admin is a cluster administrator, and breaker one who may break the glass.
	admin, breaker *suite.Client
	// adminFile and breakerFile are their kubeconfigs.
	adminFile, breakerFile string
}

func options() compile.GuardOptions {
	return compile.GuardOptions{Group: compile.DefaultGuardGroup, Namespace: cluster.Namespace, ServiceAccount: product.Name}
}

func manifestOf(t *testing.T, o compile.GuardOptions) []byte {
	t.Helper()
	var documents bytes.Buffer
	encoder := json.NewEncoder(&documents)
	for _, kind := range compile.Guard(o) {
		for _, object := range []any{kind.Policy, kind.Binding} {
			documents.WriteString("---\n")
			suite.Check(t, encoder.Encode(object))
		}
	}
	return documents.Bytes()
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	dir := suite.TempDir(t, "guard-files")
	static, err := controlplane.NewStaticPolicies(dir)
	suite.Check(t, err)
	suite.Check(t, static.Write("guard.yaml", manifestOf(t, options())))
	audit := filepath.Join(dir, "audit.yaml")
	suite.Check(t, os.WriteFile(audit, []byte(auditPolicy), 0o644))
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	suite.Check(t, err)
	g := &guarded{breakerFile: filepath.Join(dir, "breaker.kubeconfig")}
	g.Cluster = cluster.New(t, "guard", cluster.Options{
		Nodes: 3, OwnControllers: true, Images: map[string]string{tag: binary},
		Options: suite.Options{APIServer: controlplane.APIServerOptions{Args: append(static.Args, "--audit-policy-file="+audit)}},
	})
	g.adminFile = g.Kubectl.Kubeconfig
	config := g.user(t, "breaker", "system:masters", compile.DefaultGuardGroup)
	suite.Check(t, controlplane.WriteKubeconfig(g.breakerFile, config))
	g.admin = suite.Admin(t, g.ControlPlane.APIServer)
	g.breaker, err = suite.NewClient(config)
	suite.Check(t, err)
	return g
}

func (g *guarded) user(t *testing.T, name string, groups ...string) *rest.Config {
	t.Helper()
	config, err := g.ControlPlane.User(name, groups...)
	suite.Check(t, err)
	return config
}

// as installs or upgrades the chart as the owner of a kubeconfig.
func (g *guarded) as(kubeconfig string, do func() error) error {
	g.Kubectl.Kubeconfig = kubeconfig
	defer func() { g.Kubectl.Kubeconfig = g.adminFile }()
	return do()
}

func TestGuard(t *testing.T) {
	g := newGuarded(t)
	install := func(values ...string) error {
		return g.Install(t.Context(), tag, append(values, "policies.recommended=Deny")...)
	}
	suite.Check(t, g.as(g.breakerFile, func() error { return install() }))
	suite.Check(t, g.AwaitRollout(t.Context()))
	g.awaitEnforced(t)

	t.Run("cluster administrators", g.testAdministrators)
	t.Run("others", g.testOthers)
	t.Run("upgrades", func(t *testing.T) {
		if err := install("replicas=2"); err == nil || !strings.Contains(err.Error(), "NodeRestriction-plus guards it") {
			t.Errorf("an administrator upgrades the chart: %v", err)
		}
		suite.Check(t, g.as(g.breakerFile, func() error { return install("replicas=2") }))
		suite.Check(t, g.AwaitRollout(t.Context()))
	})
	t.Run("another CA", g.testAnotherCA)
	t.Run("impersonation", g.testImpersonation)
	t.Run("audit log", g.testAuditLog)
}

// awaitEnforced waits until a kubelet's write is denied by the webhook, and the status of the policy says so: the webhook has written its
// CA and the status under the guard.
func (g *guarded) awaitEnforced(t *testing.T) {
	t.Helper()
	kubelet := suite.Kubelet(t, g.ControlPlane.APIServer, node)
	kubelet.Do(t.Context(), suite.RegisterNode(node, nil))
	suite.Eventually(t, patience, func() error {
		if a := kubelet.Do(t.Context(), suite.AddFinalizer(node)); a.Outcome != suite.Denied {
			return errors.New(a.String())
		}
		var p v1alpha1.NodeRestrictionPolicy
		if err := g.Policies.Get(t.Context(), client.ObjectKey{Name: "recommended"}, &p); err != nil {
			return err
		}
		if p.Status.Violations == nil || p.Status.Violations.Denied == nil {
			return errors.New("the status counts no denial")
		}
		return nil
	})
	if a := kubelet.Do(t.Context(), suite.AnnotateOwnNode(node)); a.Outcome != suite.Allowed {
		t.Errorf("a normal write: %s", a)
	}
}

const (
	webhooks    = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
	vaps        = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
	bindings    = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
	definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	policies    = "/apis/noderestriction.plus/v1alpha1/noderestrictionpolicies"
	services    = "/apis/apiregistration.k8s.io/v1/apiservices"
	rbac        = "/apis/rbac.authorization.k8s.io/v1"
	namespace   = "/api/v1/namespaces/" + cluster.Namespace
	apps        = "/apis/apps/v1/namespaces/" + cluster.Namespace
	floor       = product.Name + ".quantities"
	crd         = "noderestrictionpolicies.noderestriction.plus"
)

func merge(path, body string) suite.Request {
	return suite.Request{Method: http.MethodPatch, Path: path, Type: suite.MergePatch, Body: body}
}

func patch(path, body string) suite.Request {
	return suite.Request{Method: http.MethodPatch, Path: path, Type: suite.JSONPatch, Body: body}
}

// attempts are what the guard forbids.
func attempts() map[string]suite.Request {
	webhook := webhooks + "/" + product.Name
	of := func(op, field, value string) suite.Request {
		return patch(webhook, fmt.Sprintf(`[{"op":%q,"path":"/webhooks/0/%s","value":%s}]`, op, field, value))
	}
	gone := suite.Delete(webhooks, "")
	gone.Query = "labelSelector=app.kubernetes.io%2Fname%3D" + product.Name
	return map[string]suite.Request{
		"delete the webhook configuration": suite.Delete(webhook, ""),
		"delete a collection that has it":  gone,
		"make a webhook ignore failures":   of("replace", "failurePolicy", `"Ignore"`),
		"exclude objects":                  of("add", "objectSelector", `{"matchLabels":{"a":"b"}}`),
		"exclude namespaces":               of("add", "namespaceSelector", `{"matchLabels":{"a":"b"}}`),
		"narrow the rules":                 of("replace", "rules/0/operations", `["DELETE"]`),
		"match only equal versions":        of("replace", "matchPolicy", `"Exact"`),
		"exclude writes by a condition":    of("add", "matchConditions/-", `{"name":"none","expression":"false"}`),
		"replace a condition":              of("replace", "matchConditions/0/expression", `"false"`),
		"wait shorter":                     of("replace", "timeoutSeconds", `1`),
		"call another service":             of("replace", "clientConfig/service/name", `"other"`),
		"trust another CA":                 of("remove", "clientConfig/caBundle", `null`),
		"remove a webhook":                 patch(webhook, `[{"op":"remove","path":"/webhooks/0"}]`),
		"rename a webhook":                 of("replace", "name", `"gate.example.com"`),
		"have cainjector trust another CA": merge(webhook,
			`{"metadata":{"annotations":{"cert-manager.io/inject-ca-from":"default/x"}}}`),
		"delete the floor": suite.Delete(vaps+"/"+floor, ""),
		"make the floor match nothing": merge(vaps+"/"+floor,
			`{"spec":{"matchConditions":[{"name":"none","expression":"false"}]}}`),
		"delete a binding of the floor": suite.Delete(bindings+"/"+floor, ""),
		"make a binding only audit":     merge(bindings+"/"+floor, `{"spec":{"validationActions":["Audit"]}}`),
		"delete the CRD":                suite.Delete(definitions+"/"+crd, ""),
		"stop serving the CRD": patch(definitions+"/"+crd,
			`[{"op":"replace","path":"/spec/versions/0/served","value":false}]`),
		"replace the conditions of the CRD": merge(definitions+"/"+crd+"/status", `{"status":{"conditions":[]}}`),
		"delete a policy":                   suite.Delete(policies+"/recommended", ""),
		"delete all policies":               suite.Delete(policies, ""),
		"exclude a node from a policy":      merge(policies+"/recommended", `{"spec":{"match":{"excludeNodeNames":["worker-1"]}}}`),
		"make a policy only audit":          merge(policies+"/recommended", `{"spec":{"validationActions":["Audit"]}}`),
		"delete the permissions":            suite.Delete(rbac+"/clusterroles/"+product.Name, ""),
		"empty the permissions":             merge(rbac+"/clusterroles/"+product.Name, `{"rules":[]}`),
		"grant the permissions to nobody":   merge(rbac+"/clusterrolebindings/"+product.Name, `{"subjects":[]}`),
		"serve the policies elsewhere": merge(services+"/v1alpha1.noderestriction.plus",
			`{"spec":{"service":{"name":"x","namespace":"default"}}}`),
		"manage the API of the policies by hand": merge(services+"/v1alpha1.noderestriction.plus", `{"metadata":{"labels":null}}`),
		"serve admission configurations elsewhere": merge(services+"/v1.admissionregistration.k8s.io",
			`{"spec":{"service":{"name":"x","namespace":"default"}}}`),
		"delete the API of the policies": suite.Delete(services+"/v1alpha1.noderestriction.plus", ""),
		"add a version of the API": suite.Create(services,
			`{"metadata":{"name":"v1.noderestriction.plus"},"spec":{"group":"noderestriction.plus","version":"v1",`+
				`"groupPriorityMinimum":10,"versionPriority":10}}`),
		"delete the namespace":  suite.Delete(namespace, ""),
		"scale to zero":         merge(apps+"/deployments/"+product.Name+"/scale", `{"spec":{"replicas":0}}`),
		"delete the Deployment": suite.Delete(apps+"/deployments/"+product.Name, ""),
		"run another image": patch(apps+"/deployments/"+product.Name,
			`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"x"}]`),
		"send the calls to other pods":        merge(namespace+"/services/"+product.Name, `{"spec":{"selector":{"app":"x"}}}`),
		"delete the Service":                  suite.Delete(namespace+"/services/"+product.Name, ""),
		"delete the endpoints":                suite.Delete("/apis/discovery.k8s.io/v1/namespaces/"+cluster.Namespace+"/endpointslices", ""),
		"delete the pods":                     suite.Delete(namespace+"/pods", ""),
		"delete the CA":                       suite.Delete(namespace+"/secrets/"+product.Name+"-ca", ""),
		"delete the service account":          suite.Delete(namespace+"/serviceaccounts/"+product.Name, ""),
		"take a token of the service account": suite.Create(namespace+"/serviceaccounts/"+product.Name+"/token", `{"spec":{}}`),
		"cut the network": suite.Create("/apis/networking.k8s.io/v1/namespaces/"+cluster.Namespace+"/networkpolicies",
			`{"metadata":{"name":"none"},"spec":{"podSelector":{}}}`),
		"leave no room for pods": suite.Create(namespace+"/resourcequotas",
			`{"metadata":{"name":"none"},"spec":{"hard":{"pods":"0"}}}`),
		"run a pod with the webhook's Secrets": suite.Create(namespace+"/pods",
			`{"metadata":{"name":"x"},"spec":{"containers":[{"name":"x","image":"x"}]}}`),
		"run a Job with the webhook's Secrets": suite.Create("/apis/batch/v1/namespaces/"+cluster.Namespace+"/jobs",
			`{"metadata":{"name":"x"},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"x","image":"x"}]}}}}`),
		"delete the permissions within the namespace": suite.Delete(rbac+"/namespaces/"+cluster.Namespace+"/roles/"+product.Name+"-ca", ""),
	}
}

// testAdministrators sends each attempt as an administrator, whom the guard denies and tells how to break the glass, and as a dry run by
// one who may break it.
func (g *guarded) testAdministrators(t *testing.T) {
	before := g.Webhooks(t)
	for name, request := range attempts() {
		t.Run(name, func(t *testing.T) {
			a := g.admin.Send(t, request)
			if a.Outcome != suite.Floor || a.Reason != metav1.StatusReasonForbidden || !strings.Contains(a.Text, compile.DefaultGuardGroup) ||
				!strings.Contains(a.Text, "staticManifestsDir") {
				t.Errorf("an administrator: %.500s", a)
			}
			request.DryRun = true
			if strings.HasSuffix(request.Path, "/token") {
				return // is issued even by a dry run
			}
			// What the API server itself refuses has passed admission, which comes first except for the validation of new objects.
			if a := g.breaker.Send(t, request); a.Outcome != suite.Allowed && (a.Outcome != suite.Refused || strings.Contains(a.Text, "guards")) {
				t.Errorf("one who may break the glass: %.500s", a)
			}
		})
	}
	if after := g.Webhooks(t); !bytes.Equal(suite.JSON(t, after.Webhooks), suite.JSON(t, before.Webhooks)) {
		t.Errorf("the webhooks have changed: %s", suite.JSON(t, after.Webhooks))
	}
}

// testOthers shows what the guard leaves alone.
func (g *guarded) testOthers(t *testing.T) {
	const webhook = `"clientConfig":{"url":"https://127.0.0.1:1/x"},"rules":[],"sideEffects":"None","admissionReviewVersions":["v1"]`
	for _, request := range []suite.Request{
		suite.Create(webhooks, `{"metadata":{"name":"other"},"webhooks":[{"name":"other.example.com",`+webhook+`}]}`),
		merge(webhooks+"/other", `{"webhooks":[]}`),
		suite.Delete(webhooks+"/other", ""),
		suite.Create(vaps,
			`{"metadata":{"name":"other"},"spec":{"matchConstraints":{"resourceRules":[{"apiGroups":["x"],"apiVersions":["*"],`+
				`"operations":["CREATE"],"resources":["x"]}]},"validations":[{"expression":"true"}]}}`),
		suite.Create(bindings, `{"metadata":{"name":"other"},"spec":{"policyName":"other","validationActions":["Deny"]}}`),
		merge(vaps+"/other", `{"spec":{"validations":[{"expression":"1 == 1"}]}}`),
		suite.Delete(bindings+"/other", ""),
		suite.Delete(vaps+"/other", ""),
		suite.Create(definitions,
			`{"metadata":{"name":"xs.example.com"},"spec":{"group":"example.com","scope":"Cluster","names":{"plural":"xs","kind":"X"},`+
				`"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`),
		suite.Delete(definitions+"/xs.example.com", ""),
		suite.Create(rbac+"/clusterroles", `{"metadata":{"name":"other"},"rules":[]}`),
		suite.Delete(rbac+"/clusterroles/other", ""),
		suite.Create("/api/v1/namespaces", `{"metadata":{"name":"other"}}`),
		suite.Create("/apis/apps/v1/namespaces/default/deployments",
			`{"metadata":{"name":"`+product.Name+`"},"spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"}},`+
				`"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"x","image":"x"}]}}}}`),
		merge("/apis/apps/v1/namespaces/default/deployments/"+product.Name+"/scale", `{"spec":{"replicas":0}}`),
		suite.Delete("/apis/apps/v1/namespaces/default/deployments/"+product.Name, ""),
		suite.Delete("/api/v1/namespaces/other", ""),
		// Of the guarded objects: a new policy, marks, and what changes nothing.
		suite.Create(policies,
			`{"apiVersion":"noderestriction.plus/v1alpha1","kind":"NodeRestrictionPolicy","metadata":{"name":"new"},`+
				`"spec":{"validationActions":["Audit"],"nodes":{"labels":{}}}}`),
		merge(policies+"/new", `{"metadata":{"labels":{"team":"a"}}}`),
		merge(webhooks+"/"+product.Name, `{"metadata":{"labels":{"team":"a"}}}`),
		suite.Create(namespace+"/events", `{"metadata":{"name":"x"},"involvedObject":{"namespace":"`+cluster.Namespace+`"},"reason":"x"}`),
	} {
		if a := g.admin.Send(t, request); a.Outcome != suite.Allowed {
			t.Errorf("%s %s: %.500s", request.Method, request.Path, a)
		}
	}
	pods, err := g.Admin.CoreV1().Pods(cluster.Namespace).List(t.Context(), metav1.ListOptions{})
	suite.Check(t, err)
	eviction := suite.Create(namespace+"/pods/"+pods.Items[0].Name+"/eviction",
		`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"`+pods.Items[0].Name+`"}}`)
	eviction.DryRun = true
	if a := g.admin.Send(t, eviction); a.Outcome != suite.Allowed {
		t.Errorf("a drain: %s", a)
	}
}

// testAnotherCA replaces the CA: the webhook writes a new one into its configuration.
func (g *guarded) testAnotherCA(t *testing.T) {
	before := g.Webhooks(t)
	g.breaker.MustSend(t, suite.Delete(namespace+"/secrets/"+product.Name+"-ca", ""))
	suite.Eventually(t, patience, func() error {
		after := g.Webhooks(t)
		if slices.EqualFunc(before.Webhooks, after.Webhooks, func(a, b admissionregistrationv1.ValidatingWebhook) bool {
			return bytes.Equal(a.ClientConfig.CABundle, b.ClientConfig.CABundle)
		}) {
			return errors.New("the CA bundles have not changed")
		}
		return nil
	})
	g.awaitEnforced(t)
}

// testImpersonation shows that the group alone does not stop an administrator who impersonates it, and that a pinned certificate does.
func (g *guarded) testImpersonation(t *testing.T) {
	request := suite.Delete(policies+"/recommended", "")
	request.DryRun = true
	config := g.user(t, "admin", "system:masters")
	config.Impersonate = rest.ImpersonationConfig{UserName: "admin", Groups: []string{"system:masters", compile.DefaultGuardGroup}}
	impersonator, err := suite.NewClient(config)
	suite.Check(t, err)
	if a := impersonator.Send(t, request); a.Outcome != suite.Allowed {
		t.Errorf("the group is impersonated: %s", a)
	}

	static, err := controlplane.NewStaticPolicies(suite.TempDir(t, "pinned"))
	suite.Check(t, err)
	genuine := g.user(t, "breaker", "system:masters", compile.DefaultGuardGroup)
	pinned := options()
	pinned.Certificates = []string{digestOf(t, genuine.CertData)}
	suite.Check(t, static.Write("guard.yaml", manifestOf(t, pinned)))
	server, err := g.ControlPlane.AddAPIServer(t.Context(), controlplane.APIServerOptions{Args: static.Args})
	suite.Check(t, err)
	t.Cleanup(server.Stop)
	for name, test := range map[string]struct {
		config *rest.Config
		want   suite.Outcome
	}{
		"the pinned certificate":            {genuine, suite.Allowed},
		"another certificate of the group":  {g.user(t, "breaker", "system:masters", compile.DefaultGuardGroup), suite.Floor},
		"a wrong digest is impersonated":    {impersonating(config, "X509SHA256="+strings.Repeat("0", 64)), suite.Floor},
		"the group alone is impersonated":   {config, suite.Floor},
		"the known digest is impersonated":  {impersonating(config, "X509SHA256="+pinned.Certificates[0]), suite.Allowed},
		"several digests are impersonated":  {impersonating(config, "X509SHA256="+pinned.Certificates[0], "x"), suite.Floor},
		"a cluster administrator, as usual": {g.user(t, "admin", "system:masters"), suite.Floor},
	} {
		elsewhere := rest.CopyConfig(test.config)
		elsewhere.Host = server.Host
		c, err := suite.NewClient(elsewhere)
		suite.Check(t, err)
		if a := c.Send(t, request); a.Outcome != test.want {
			t.Errorf("%s: %s", name, a)
		}
	}
}

// impersonating adds credential IDs to an impersonation.
func impersonating(config *rest.Config, ids ...string) *rest.Config {
	c := rest.CopyConfig(config)
	c.Impersonate.Extra = map[string][]string{"authentication.kubernetes.io/credential-id": ids}
	return c
}

func digestOf(t *testing.T, certificate []byte) string {
	t.Helper()
	block, _ := pem.Decode(certificate)
	parsed, err := x509.ParseCertificate(block.Bytes)
	suite.Check(t, err)
	sum := sha256.Sum256(parsed.Raw)
	return hex.EncodeToString(sum[:])
}

// testAuditLog finds every attempt in the audit log, with the part of the guard that denied it.
func (g *guarded) testAuditLog(t *testing.T) {
	f, err := os.Open(g.ControlPlane.AuditLog)
	suite.Check(t, err)
	defer f.Close()
	denied := map[string]int{}
	suite.Check(t, decisionlog.NewLog(auditlog.Events).Read(f, func(e *decisionlog.Event) error {
		if e.Server == nil {
			return nil
		}
		for _, v := range e.Server.Violations {
			if v.Policy == compile.GuardPolicy && v.Action == string(v1alpha1.Deny) && e.Server.User == "admin" {
				denied[v.Rule]++
			}
		}
		return nil
	}))
	total := 0
	for _, kind := range compile.Guard(options()) {
		if denied[string(kind.Rules[0])] == 0 {
			t.Errorf("no denial by %s", kind.Rules[0])
		}
		total += denied[string(kind.Rules[0])]
	}
	if total < len(attempts()) {
		t.Errorf("%d denials, want at least %d", total, len(attempts()))
	}
}
