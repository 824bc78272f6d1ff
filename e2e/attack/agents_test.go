// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/attack"
	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/compile"
)

const agentNamespace, agentName, agent = "kube-system", "cni", "kube-system/cni"

// agentPolicy holds the agent to its node.
const agentPolicy = `apiVersion: noderestriction.plus/v1alpha1
kind: NodeRestrictionPolicy
metadata: {name: agents}
spec:
  validationActions: [Deny]
  subjects: {serviceAccounts: [{namespace: kube-system, name: cni}]}
  nodes: {self: {}}
  pods: {self: {}}
  objects: [{apiGroup: resource.k8s.io, resource: resourceslices, node: spec.nodeName}]
`

// TestAgents attacks with the token of a node agent: of a stock API server, and of one that enforces a policy without the webhook.
func TestAgents(t *testing.T) {
	s := suite.New(t, "agents-attack", controlplane.APIServerOptions{})
	c := &cluster{Suite: s}
	c.store(t)
	c.storeAgent(t)
	before := c.versions(t)
	t.Run("stock", c.testAgentStock)
	t.Run("permissions", c.testAgentPermissions)
	t.Run("its own token", c.testAgentToken)
	t.Run("compiled policy", c.testAgentPolicy)
	c.checkVersions(t, before)
}

// storeAgent stores a service account that may write Nodes, pods and ResourceSlices, but neither delete Nodes nor create pods, and its pod.
func (c *cluster) storeAgent(t *testing.T) {
	t.Helper()
	_, err := c.Admin.CoreV1().ServiceAccounts(agentNamespace).Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: agentName},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	c.bind(t, agentName, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: agentNamespace, Name: agentName},
		rbacv1.PolicyRule{Verbs: []string{"patch"}, APIGroups: []string{""}, Resources: []string{"nodes", "nodes/status", "pods", "pods/status"}},
		rbacv1.PolicyRule{Verbs: []string{"delete"}, APIGroups: []string{""}, Resources: []string{"pods"}},
		rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"pods/eviction"}},
		rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{"resource.k8s.io"}, Resources: []string{"resourceslices"}},
	)
	_, err = c.Admin.CoreV1().Pods(agentNamespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: agentName},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: agentName, Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/c"}},
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
}

// bind gives a subject a ClusterRole of its own.
func (c *cluster) bind(t *testing.T, name string, subject rbacv1.Subject, rules ...rbacv1.PolicyRule) {
	t.Helper()
	_, err := c.Admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules,
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	_, err = c.Admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
}

// refused are the attacks that RBAC does not allow the agent.
func refused() []string { return []string{"agent-deletes-other-node", "agent-runs-pod-elsewhere"} }

// agentResults returns an error if an attack has another result than in a stock cluster, except those that are not tried.
func agentResults(r *attack.Report, untried ...string) error {
	var err error
	for _, item := range r.Items {
		want := "nobody"
		switch {
		case slices.Contains(untried, item.Attack):
			want = string(attack.NotTried)
		case slices.Contains(refused(), item.Attack):
			want = string(attack.Authorizer)
		}
		if item.StoppedBy != want {
			err = errors.Join(err, fmt.Errorf("%s: stopped by %s, want %s: %s", item.Attack, item.Stopper, want, item.Detail))
		}
	}
	if len(r.Items) != len(attack.AgentCatalogue()) {
		err = errors.Join(err, fmt.Errorf("%d results", len(r.Items)))
	}
	return err
}

func (c *cluster) testAgentStock(t *testing.T) {
	config, err := c.ControlPlane.APIServer.Admin()
	suite.Check(t, err)
	suite.Eventually(t, 30*time.Second, func() error { // until the authorizer knows the role
		r, err := attack.Run(suite.Within(t, time.Minute), config, attack.Options{AsNode: node, AsAgent: agent})
		if err != nil {
			return err
		}
		return agentResults(r)
	})
}

// testAgentPermissions checks that the printed roles are enough, for this account and this node only.
func (c *cluster) testAgentPermissions(t *testing.T) {
	const user = "agent-tester"
	config, err := c.ControlPlane.User(user)
	suite.Check(t, err)
	options := attack.Options{AsNode: node, AsAgent: agent}
	if _, err := attack.Run(suite.Within(t, time.Minute), config, options); err == nil ||
		!strings.Contains(err.Error(), "--rbac prints the permissions") {
		t.Errorf("without permissions: %v", err)
	}
	role, cluster := attack.AgentRoles(node, agent)
	subject := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}
	c.bind(t, user, subject, cluster.Rules...)
	_, err = c.Admin.RbacV1().Roles(agentNamespace).Create(t.Context(), role, metav1.CreateOptions{})
	suite.Check(t, err)
	_, err = c.Admin.RbacV1().RoleBindings(agentNamespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user}, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	suite.Eventually(t, 30*time.Second, func() error {
		r, err := attack.Run(suite.Within(t, time.Minute), config, options)
		if err != nil {
			return err
		}
		return agentResults(r)
	})
	for _, o := range []attack.Options{{AsNode: other, AsAgent: agent}, {AsNode: node, AsAgent: "kube-system/default"}} {
		if _, err := attack.Run(suite.Within(t, time.Minute), config, o); err == nil {
			t.Errorf("the roles are enough for %+v", o)
		}
	}
}

// testAgentToken attacks with a token that is bound to a pod on the node, and with one that is bound to nothing.
func (c *cluster) testAgentToken(t *testing.T) {
	pod, err := c.Admin.CoreV1().Pods(agentNamespace).Get(t.Context(), agentName, metav1.GetOptions{})
	suite.Check(t, err)
	token := func(bound *authenticationv1.BoundObjectReference) *rest.Config {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: bound}}
		answer, err := c.Admin.CoreV1().ServiceAccounts(agentNamespace).CreateToken(t.Context(), agentName, request, metav1.CreateOptions{})
		suite.Check(t, err)
		admin, err := c.ControlPlane.APIServer.Admin()
		suite.Check(t, err)
		config := rest.AnonymousClientConfig(admin)
		config.BearerToken = answer.Status.Token
		return config
	}
	options := attack.Options{OtherNode: other, OtherPod: "default/elsewhere"}
	r, err := attack.Run(suite.Within(t, time.Minute), token(&authenticationv1.BoundObjectReference{
		Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID,
	}), options)
	suite.Check(t, err)
	if r.Account != agent || r.Node != node || r.PoliciesKnown {
		t.Errorf("account %q, node %q, policies known: %v", r.Account, r.Node, r.PoliciesKnown)
	}
	// It may read nothing.
	suite.Check(t, agentResults(r, "agent-untaints-own-node", "agent-annotates-pod", "agent-replaces-image"))
	_, err = attack.Run(suite.Within(t, time.Minute), token(nil), options)
	if err == nil || !strings.Contains(err.Error(), "token that names its node") {
		t.Errorf("an unbound token: %v", err)
	}
}

// testAgentPolicy has the API server enforce a policy without the webhook, as compile writes it.
func (c *cluster) testAgentPolicy(t *testing.T) {
	loaded, err := cli.LoadPolicies(&command.Inputs{Stdin: strings.NewReader(agentPolicy)}, []string{command.StandardInput})
	suite.Check(t, err)
	suite.Check(t, c.Kubectl.Apply(t.Context(), compiled(t, loaded[0], compile.Options{Partial: compile.Narrower})))
	config, err := c.ControlPlane.APIServer.Admin()
	suite.Check(t, err)
	suite.Eventually(t, time.Minute, func() error {
		r, err := attack.Run(suite.Within(t, time.Minute), config, attack.Options{AsNode: node, AsAgent: agent, Policies: loaded})
		if err != nil {
			return err
		}
		stopped := 0
		for _, item := range r.Items {
			switch {
			case item.StoppedBy == string(attack.Here) && !item.Forbidden:
				t.Errorf("%s is stopped by %s, and no policy forbids it", item.Attack, item.Stopper)
			case item.StoppedBy == string(attack.Here):
				stopped++
			case item.Forbidden && item.StoppedBy == "nobody" && item.Attack != "agent-evicts-other-pod": // which needs a lookup
				err = errors.Join(err, fmt.Errorf("%s passes, which %s forbids", item.Attack, item.Rule))
			}
		}
		if err == nil && stopped < 8 {
			err = fmt.Errorf("only %d attacks are stopped", stopped)
		}
		return err
	})
	// The kubelet, and agents that the policy does not name, are not held by it.
	r, err := attack.Run(suite.Within(t, time.Minute), config, attack.Options{AsNode: node})
	suite.Check(t, err)
	for _, item := range r.Items {
		if item.StoppedBy == string(attack.Here) {
			t.Errorf("the kubelet is stopped: %s by %s", item.Attack, item.Stopper)
		}
	}
}
