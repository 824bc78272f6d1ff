// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/rights"
)

// testAgents asks what the tokens on a node allow: as an administrator, from a dump, and as users who may not read everything.
func (c *cluster) testAgents(t *testing.T) {
	const namespace, account = "kube-system", "cni"
	created := &corev1.ServiceAccount{ObjectMeta: object(account)}
	_, err := c.Admin.CoreV1().ServiceAccounts(namespace).Create(t.Context(), created, metav1.CreateOptions{})
	suite.Check(t, err)
	_, err = c.Admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: object(account), Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"patch"}, APIGroups: []string{""}, Resources: []string{"nodes/status"}},
	}}, metav1.CreateOptions{})
	suite.Check(t, err)
	_, err = c.Admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: object(account), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: account},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	_, err = c.Admin.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{ObjectMeta: object(account), Spec: corev1.PodSpec{
		NodeName: node, ServiceAccountName: account, Containers: []corev1.Container{{Name: "c", Image: "i"}},
		Volumes: []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}},
		}}}},
	}}, metav1.CreateOptions{})
	suite.Check(t, err)
	found := func(args ...string) error {
		a := run(t, append(args, "--agents", "-o", "json")...)
		r := &rights.AgentsReport{}
		if err := json.Unmarshal([]byte(a.out), r); err != nil || a.code != 1 {
			return fmt.Errorf("exit code %d: %s: %w", a.code, a.errors, err)
		}
		at := slices.IndexFunc(r.Items, func(x *rights.Agent) bool { return x.Account == namespace+"/"+account })
		if at < 0 || r.Items[at].Danger != "high" || len(r.Items[at].Permissions) != 1 || r.Items[at].Permissions[0].Resource != "nodes/status" {
			return fmt.Errorf("agents: %s", a.out)
		}
		return nil
	}
	suite.Eventually(t, 30*time.Second, func() error { return found(node, "--kubeconfig", c.Kubectl.Kubeconfig) })
	dump := filepath.Join(t.TempDir(), "dump.json")
	suite.Check(t, os.WriteFile(dump, []byte(run(t, node, "--kubeconfig", c.Kubectl.Kubeconfig, "--dump").out), 0o600))
	suite.Check(t, found(node, "--from", dump))

	pods := []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	_, err = c.Admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: object("pods-only"), Rules: pods,
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	_, err = c.Admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: object("pods-only"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "pods-only"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "pods-only"}},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	suite.Eventually(t, 30*time.Second, func() error {
		a := run(t, node, "--agents", "--kubeconfig", c.kubeconfig(t, c.ControlPlane.APIServer, "pods-only"))
		if a.code != 2 || !strings.Contains(a.out, "Lacking: list clusterroles.rbac.authorization.k8s.io") ||
			!strings.Contains(a.errors, "not all known") {
			return fmt.Errorf("exit code %d: %s %s", a.code, a.out, a.errors)
		}
		return nil
	})
	a := run(t, node, "--agents", "--kubeconfig", c.kubeconfig(t, c.ControlPlane.APIServer, "nobody"))
	if a.code != 2 || !strings.Contains(a.errors, "may not list pods") || !strings.Contains(a.errors, "--rbac prints the permissions") {
		t.Errorf("without permissions: exit code %d: %s", a.code, a.errors)
	}
}
