// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package scrapes_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/metrics"
	"noderestriction.plus/e2e/suite"
)

const (
	reloads = "apiserver_authorization_config_controller_automatic_reloads_total"
	// nodes is the group of all kubelets.
	nodes = "system:nodes"
	// reloadTimeout bounds the time until an API server has read a changed file, which it also does every minute.
	reloadTimeout = 2 * time.Minute
)

// listSecrets is a request that no kubelet needs, and that RBAC allows to all kubelets once protect has run.
func listSecrets() suite.Request {
	return suite.Request{Method: http.MethodGet, Path: "/api/v1/namespaces/kube-system/secrets"}
}

// protect binds the role system:node to all kubelets, as old clusters do, and puts an AuthorizationConfiguration in force that denies
// them what this adds.
func (s *setup) protect(t *testing.T, configuration string) {
	t.Helper()
	_, err := s.Admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "widening"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: nodes}},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	awaitCode := func(code int) {
		t.Helper()
		suite.Eventually(t, reloadTimeout, func() error {
			if a := s.kubelets["deny"].Send(t, listSecrets()); a.Code != code {
				return fmt.Errorf("want %d, got %s", code, a)
			}
			return nil
		})
	}
	awaitCode(http.StatusOK)
	s.entry.Write(t, configuration)
	awaitCode(http.StatusInternalServerError)
}

// readSecrets lists Secrets a hundred times as a kubelet, like an agent that retries, which the entry denies; and once as somebody
// else in the group of kubelets, which the entry leaves to RBAC.
func (s *setup) readSecrets(t *testing.T) {
	t.Helper()
	for range 100 {
		if a := s.kubelets["deny"].Send(t, listSecrets()); !strings.Contains(a.Text, suite.EntryReason+"deny") {
			t.Fatalf("the entry does not deny it: %s", a)
		}
	}
	config, err := s.ControlPlane.User("somebody", nodes)
	suite.Check(t, err)
	somebody, err := suite.NewClient(config)
	suite.Check(t, err)
	somebody.MustSend(t, listSecrets())
}

// failReload replaces the AuthorizationConfiguration with a text that an API server cannot use. The last one stays in force.
func (s *setup) failReload(t *testing.T, text string) {
	t.Helper()
	failures := func() float64 {
		m, err := metrics.FromAPIServer(t.Context(), s.Admin)
		suite.Check(t, err)
		return m.Sum(reloads, "status", "failure")
	}
	before := failures()
	s.entry.Write(t, text)
	suite.Eventually(t, reloadTimeout, func() error {
		if failures() == before {
			return fmt.Errorf("the failure is not counted: %v", before)
		}
		return nil
	})
}
