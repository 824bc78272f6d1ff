// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agents_test holds node agents to their node in a real API server: with its own tokens, bound to pods and to nothing, and wired by
// what the chart renders. The program has only the permissions that the chart grants.
package agents_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

const (
	// recovery bounds each wait, on a busy machine.
	recovery = 2 * time.Minute
	// user is the product's user, which has only what the chart grants.
	user = "nrp"

	worker1, worker2 = "worker-1", "worker-2"

	// The service accounts of agents. Two are named by a policy and sent; one has a policy and is not sent; one is nobody's.
	named, lenient, unsent, other = "aws-node", "lenient", "kured", "other"

	slicesPath = "/apis/resource.k8s.io/v1/resourceslices"
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// setup is a control plane with the product in front of it, two Nodes, and pods of agents on each.
type setup struct {
	*suite.Suite
	product *product.Product
	helm    string
	args    []string
	pods    map[string]*corev1.Pod // of agents, by account and node
}

// values are those of the chart.
func values(more ...string) []string {
	return append([]string{
		"rbac.subjects[0].kind=User,rbac.subjects[0].name=" + user, "enforcementProbe.enabled=true",
		"subjects.serviceAccounts[0].namespace=kube-system,subjects.serviceAccounts[0].name=" + named,
		"subjects.serviceAccounts[1].namespace=kube-system,subjects.serviceAccounts[1].name=" + lenient,
		"subjects.usernamePrefixes={system:ovn-node:}",
		"subjects.objects[0].apiGroup=resource.k8s.io,subjects.objects[0].resource=resourceslices,subjects.objects[0].node=spec.nodeName",
	}, more...)
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	s := &setup{Suite: suite.New(t, "agents", controlplane.APIServerOptions{}), pods: map[string]*corev1.Pod{}}
	s.args = []string{
		"--wiring-check-configuration=" + product.Name, "--wiring-check-interval=1s",
		"--enforcement-probe", "--enforcement-probe-interval=1s", "--enforcement-probe-webhooks=gate,registration,status,agents,policies",
	}
	var err error
	s.helm, err = binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	suite.Check(t, product.ApplyCRD(t.Context(), s.Kubectl))
	suite.Check(t, product.ApplyRoles(t.Context(), s.Kubectl, s.helm, values("subjects.floor.enabled=true")...))
	config, err := s.ControlPlane.User(user)
	suite.Check(t, err)
	s.createObjects(t)
	s.product = s.MustInstall(t, product.Options{Config: config, Args: s.args})
	s.configure(t)
	return s
}

// configure applies the chart with more values.
func (s *setup) configure(t *testing.T, more ...string) {
	t.Helper()
	suite.Check(t, s.product.Configure(t.Context(), s.Kubectl, s.helm, values(more...)...))
}

// agentRoles permits all agents what the cluster roles of such agents permit: each to write every Node and every pod.
const agentRoles = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agents}
rules:
- {apiGroups: [""], resources: [nodes, nodes/status, pods, pods/status], verbs: [get, list, create, update, patch, delete]}
- {apiGroups: [""], resources: [pods/eviction], verbs: [create]}
- {apiGroups: [""], resources: [pods/ephemeralcontainers], verbs: [patch]}
- {apiGroups: [""], resources: [nodes], verbs: [deletecollection]}
- {apiGroups: [resource.k8s.io], resources: [resourceslices], verbs: [get, create, update, patch, delete]}
- {apiGroups: [authentication.k8s.io], resources: [nodes], verbs: ["impersonate:associated-node"]}
- {apiGroups: [""], resources: [nodes/status], verbs: ["impersonate-on:associated-node:patch"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agents}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agents}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: system:serviceaccounts:kube-system}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:ovn-node:worker-1"}
`

// createObjects creates the Nodes, the accounts, their pods on each Node, and a pod of somebody else on each Node.
func (s *setup) createObjects(t *testing.T) {
	t.Helper()
	suite.Check(t, s.Kubectl.Apply(t.Context(), []byte(agentRoles)))
	for _, node := range []string{worker1, worker2} {
		s.CreateNode(t, node)
		s.createPod(t, metav1.NamespaceDefault, "victim-"+node, "", node)
	}
	for _, account := range []string{named, lenient, unsent, other} {
		meta := metav1.ObjectMeta{Name: account, Namespace: metav1.NamespaceSystem}
		_, err := s.Admin.CoreV1().ServiceAccounts(meta.Namespace).Create(
			t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
		suite.Check(t, err)
		for _, node := range []string{worker1, worker2} {
			s.pods[account+" "+node] = s.createPod(t, meta.Namespace, account+"-"+node, account, node)
		}
	}
}

func (s *setup) createPod(t *testing.T, namespace, name, account, node string) *corev1.Pod {
	t.Helper()
	pod, err := s.Admin.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: account, Containers: []corev1.Container{{Name: "c", Image: "c"}},
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	return pod
}

// policies hold the agents to their node, and deny finalizers to kubelets.
const policies = `
apiVersion: noderestriction.plus/v1alpha1
kind: NodeRestrictionPolicy
metadata: {name: node-agents}
spec:
  validationActions: [Deny]
  subjects: {serviceAccounts: [{namespace: kube-system, name: aws-node}], usernamePrefixes: ["system:ovn-node:"]}
  nodes: {self: {}}
  pods: {self: {}}
  objects: [{apiGroup: resource.k8s.io, resource: resourceslices, node: spec.nodeName}]
---
apiVersion: noderestriction.plus/v1alpha1
kind: NodeRestrictionPolicy
metadata: {name: lenient}
spec:
  validationActions: [Deny]
  subjects: {serviceAccounts: [{namespace: kube-system, name: lenient}], withoutNode: Allow}
  nodes: {self: {}}
---
apiVersion: noderestriction.plus/v1alpha1
kind: NodeRestrictionPolicy
metadata: {name: unsent}
spec:
  validationActions: [Deny]
  subjects: {serviceAccounts: [{namespace: kube-system, name: kured}]}
  nodes: {self: {}}
---
apiVersion: noderestriction.plus/v1alpha1
kind: NodeRestrictionPolicy
metadata: {name: kubelets}
spec:
  validationActions: [Deny]
  nodes: {finalizers: {}}
`

// enforce applies the policies and waits until the API server sends what they are about.
func (s *setup) enforce(t *testing.T) {
	t.Helper()
	suite.Check(t, s.Kubectl.Apply(t.Context(), []byte(policies)))
	for _, name := range []string{"node-agents", "lenient", "unsent", "kubelets"} {
		suite.Check(t, product.AwaitReady(t.Context(), s.Policies, name))
	}
	s.awaitOutcome(t, s.bound(t, named, worker1), label(worker2), suite.Denied)
}

// awaitOutcome waits until a dry run of a write is answered as wanted: an API server notices a configuration a moment later.
func (s *setup) awaitOutcome(t *testing.T, c *suite.Client, r suite.Request, want suite.Outcome) {
	t.Helper()
	r.DryRun = true
	suite.Eventually(t, recovery, func() error {
		if a := c.Send(t, r); a.Outcome != want {
			return fmt.Errorf("%s %s: want %s, got %s", r.Method, r.Path, want, a)
		}
		return nil
	})
}

// withToken returns a client with a token.
func (s *setup) withToken(t *testing.T, token string) *suite.Client {
	t.Helper()
	admin, err := s.ControlPlane.Admin()
	suite.Check(t, err)
	c, err := suite.NewClient(&rest.Config{
		Host: admin.Host, QPS: -1, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: admin.CAData},
	})
	suite.Check(t, err)
	return c
}

// boundToken returns a token of an account that is bound to its pod on a node, as a kubelet requests it for the pod.
func (s *setup) boundToken(t *testing.T, account, node string) string {
	t.Helper()
	pod := s.pods[account+" "+node]
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	token, err := s.Admin.CoreV1().ServiceAccounts(metav1.NamespaceSystem).CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	suite.Check(t, err)
	return token.Status.Token
}

// bound returns a client with such a token.
func (s *setup) bound(t *testing.T, account, node string) *suite.Client {
	t.Helper()
	return s.withToken(t, s.boundToken(t, account, node))
}

// unbound returns a client with a token that is bound to nothing, such as kubectl create token prints.
func (s *setup) unbound(t *testing.T, account string) *suite.Client {
	t.Helper()
	token, err := suite.Token(t.Context(), s.Admin, metav1.NamespaceSystem, account)
	suite.Check(t, err)
	return s.withToken(t, token)
}

// inSecret returns a client with a token in a Secret, which never expires. A controller that does not run here would sign it.
func (s *setup) inSecret(t *testing.T, account string) *suite.Client {
	t.Helper()
	stored, err := s.Admin.CoreV1().ServiceAccounts(metav1.NamespaceSystem).Get(t.Context(), account, metav1.GetOptions{})
	suite.Check(t, err)
	name := account + "-token"
	token := s.sign(t, map[string]any{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:kube-system:" + account,
		"kubernetes.io/serviceaccount/namespace":            metav1.NamespaceSystem,
		"kubernetes.io/serviceaccount/secret.name":          name,
		"kubernetes.io/serviceaccount/service-account.name": account,
		"kubernetes.io/serviceaccount/service-account.uid":  string(stored.UID),
	})
	_, err = s.Admin.CoreV1().Secrets(metav1.NamespaceSystem).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{
			corev1.ServiceAccountNameKey: account, corev1.ServiceAccountUIDKey: string(stored.UID),
		}},
		Type: corev1.SecretTypeServiceAccountToken, Data: map[string][]byte{corev1.ServiceAccountTokenKey: []byte(token)},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	return s.withToken(t, token)
}

// sign signs a token with the key of the API servers.
func (s *setup) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Dir, "service-account.key"))
	suite.Check(t, err)
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatal("the key is not PEM")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	suite.Check(t, err)
	encode := func(v any) string { return base64.RawURLEncoding.EncodeToString(suite.JSON(t, v)) }
	signed := encode(map[string]string{"alg": "ES256", "typ": "JWT"}) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	first, second, err := ecdsa.Sign(rand.Reader, key, digest[:])
	suite.Check(t, err)
	signature := append(first.FillBytes(make([]byte, 32)), second.FillBytes(make([]byte, 32))...)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// impersonated returns a client of an administrator who impersonates the account with these names of nodes in its token.
func (s *setup) impersonated(t *testing.T, account string, nodes ...string) *suite.Client {
	t.Helper()
	config, err := s.ControlPlane.Admin()
	suite.Check(t, err)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:kube-system:" + account, Groups: []string{"system:serviceaccounts:kube-system"},
		Extra: map[string][]string{"authentication.kubernetes.io/node-name": nodes},
	}
	c, err := suite.NewClient(config)
	suite.Check(t, err)
	return c
}

// withCertificate returns a client with the certificate of a user.
func (s *setup) withCertificate(t *testing.T, name string) *suite.Client {
	t.Helper()
	config, err := s.ControlPlane.User(name)
	suite.Check(t, err)
	c, err := suite.NewClient(config)
	suite.Check(t, err)
	return c
}

// label is a write of a Node, which changes it each time.
func label(node string) suite.Request {
	return suite.PatchNode(node, fmt.Sprintf(`{"metadata":{"labels":{"example.com/time":"%d"}}}`, time.Now().UnixNano()))
}

// sliceOf is a ResourceSlice of a node.
func sliceOf(name, node string) string {
	return fmt.Sprintf(`{"apiVersion":"resource.k8s.io/v1","kind":"ResourceSlice","metadata":{"name":%q},"spec":{"driver":"gpu.example.com",`+
		`"nodeName":%q,"pool":{"name":%q,"generation":1,"resourceSliceCount":1}}}`, name, node, node)
}

// record is the part of a record that tests read.
type record struct {
	Msg, Node, User, Subject, Account, Name string
	Violations                              []struct{ Policy, Rule, Action string }
}

// recordsSince returns the records after the first n that are not of the enforcement probe.
func (s *setup) recordsSince(t *testing.T, n int) []record {
	t.Helper()
	lines, err := s.product.Records.Since(n)
	suite.Check(t, err)
	var all []record
	for _, line := range lines {
		var r record
		suite.Check(t, json.Unmarshal([]byte(line.Text), &r))
		if r.Msg != "probed" {
			all = append(all, r)
		}
	}
	return all
}

// mark returns the number of records so far.
func (s *setup) mark(t *testing.T) int {
	t.Helper()
	n, err := s.product.Records.Len()
	suite.Check(t, err)
	return n
}

// metric returns the sum of the product's series with these labels.
func (s *setup) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	m, err := s.product.Metrics(t.Context())
	suite.Check(t, err)
	return m.Sum(name, labels...)
}

var errNoCondition = errors.New("there is no condition")
