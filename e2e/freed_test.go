// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
)

// freed is a group that RBAC permits to write everything, so that every fixture's write reaches admission. It has no other
// permissions, for example for audiences of tokens.
const freed = "e2e:freed"

// freeKubelets grants the group its permissions.
func (s *environment) freeKubelets(t *testing.T) {
	t.Helper()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: freed},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{
				"", "certificates.k8s.io", "coordination.k8s.io", "events.k8s.io", "resource.k8s.io", "storage.k8s.io",
			},
			Resources: []string{"*"},
			Verbs:     []string{"create", "update", "patch", "delete", "deletecollection"},
		}},
	}
	_, err := s.Admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
	suite.Check(t, err)
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: freed},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: freed},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: freed}},
	}
	_, err = s.Admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{})
	suite.Check(t, err)
}

// isBaseline reports whether a fixture is about the baseline, or about another resource than nodes and pods: a kubelet sends it that
// the authorizer does not restrict.
func isBaseline(r *policy.Request, policies []*v1alpha1.NodeRestrictionPolicy) bool {
	if r.Resource != "nodes" && r.Resource != "pods" {
		return true
	}
	return slices.ContainsFunc(policies, func(p *v1alpha1.NodeRestrictionPolicy) bool { return p.Spec.Baseline != nil })
}

// testFreed replays a fixture as a freed kubelet.
func (s *pair) testFreed(t *testing.T, f *fixture.Fixture, facts [][]byte, others exception, enforced map[string]bool) {
	for _, p := range f.Policies {
		if p.Spec.Baseline != nil && len(p.Spec.Baseline.APIAudiences) == 0 {
			// The program runs outside the cluster.
			p.Spec.Baseline.APIAudiences = []string{"https://kubernetes.default.svc"}
		}
	}
	if strings.HasPrefix(f.Request.Resource, "events") {
		f.Request.Object = inNamespaceOfNodes(t, f.Request.Object)
		f.Request.Namespace = namespaceOf(t, f.Request.Object)
	}
	s.enforce(t, f.Policies, enforced)
	user := f.Request.User
	config, err := s.open.User(user.Username, append(user.Groups, freed)...)
	suite.Check(t, err)
	kubelet, err := suite.NewClient(config)
	suite.Check(t, err)
	r := &replay{setup: s.newSetup(t, f, s.open, facts), kubelet: kubelet, refuse: others.open}
	defer func() {
		r.objects.clear(t)
		r.clear(t)
	}()
	r.run(t)
}

func namespaceOf(t *testing.T, object []byte) string {
	t.Helper()
	var o metav1.PartialObjectMetadata
	suite.Check(t, json.Unmarshal(object, &o))
	return o.Namespace
}

// inNamespaceOfNodes moves an event about an object without a namespace, such as a Node, to the namespace that the API server
// requires for it.
func inNamespaceOfNodes(t *testing.T, event []byte) []byte {
	t.Helper()
	var e struct {
		InvolvedObject, Regarding *corev1.ObjectReference
	}
	suite.Check(t, json.Unmarshal(event, &e))
	about := e.InvolvedObject
	if about == nil {
		about = e.Regarding
	}
	if about == nil || about.Namespace != "" {
		return event
	}
	return merged(t, event, []byte(`{"metadata":{"namespace":"default"}}`))
}
