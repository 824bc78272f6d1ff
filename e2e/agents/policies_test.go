// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package agents_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/internal/manifest"
)

// readyRoles permits the accounts of the ready policies what agentRoles permits.
const readyRoles = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ready-agents}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agents}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: system:serviceaccounts}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:multus"}
`

// TestReadyPolicies sends the writes of the agents in config/policies/agents as these agents, with all ready policies in force, which deny.
// Writes of kinds that an API server has only with a CRD are not sent.
func TestReadyPolicies(t *testing.T) {
	s := newSetup(t)
	suite.Check(t, s.Kubectl.Apply(t.Context(), []byte(readyRoles)))
	policies := s.enforceReady(t)
	s.awaitOutcome(t, s.impersonatedUser(t, "system:serviceaccount:kube-system:kured", worker1), label(worker2), suite.Denied)
	for _, p := range policies {
		t.Run(p.Name, func(t *testing.T) {
			sent := 0
			for path, f := range readyFixtures(t, p.Name) {
				if s.sendFixture(t, path, f) {
					sent++
				}
			}
			if sent < 2 {
				t.Errorf("only %d writes were sent", sent)
			}
		})
	}
}

// enforceReady applies the ready policies, made to deny, and has the API server send the writes of their subjects.
func (s *setup) enforceReady(t *testing.T) []*v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	paths, err := filepath.Glob(filepath.Join(root, "config", "policies", "agents", "*.yaml"))
	suite.Check(t, err)
	var policies []*v1alpha1.NodeRestrictionPolicy
	var more []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		suite.Check(t, err)
		parsed, err := manifest.Policies(data)
		suite.Check(t, err)
		p := parsed[0]
		suite.Check(t, s.Kubectl.Apply(t.Context(), []byte(strings.Replace(string(data), "[Audit]", "[Deny]", 1))))
		policies = append(policies, p)
		for _, a := range p.Spec.Subjects.ServiceAccounts {
			if a.Name == named {
				continue // the values have it already
			}
			at := fmt.Sprintf("subjects.serviceAccounts[%d].", 2+len(more))
			more = append(more, at+"namespace="+a.Namespace+","+at+"name="+a.Name)
		}
	}
	s.configure(t, append(more, "subjects.usernamePrefixes={system:multus:}")...)
	for _, p := range policies {
		suite.Check(t, product.AwaitReady(t.Context(), s.Policies, p.Name))
	}
	return policies
}

// readyFixtures returns the fixtures of an agent, by verdict and name.
func readyFixtures(t *testing.T, name string) map[string]*fixture.Fixture {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	directory := filepath.Join(root, "config", "policies", "agents", "testdata", name)
	paths, err := filepath.Glob(directory + "/*/*.txtar")
	suite.Check(t, err)
	fixtures := map[string]*fixture.Fixture{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		suite.Check(t, err)
		f, err := fixture.Parse(data)
		suite.Check(t, err)
		fixtures[strings.TrimPrefix(path, directory+"/")] = f
	}
	return fixtures
}

// sendFixture sends a fixture's write as a dry run, and reports whether the API server has its kind.
func (s *setup) sendFixture(t *testing.T, path string, f *fixture.Fixture) bool {
	t.Helper()
	r := &f.Request
	var write suite.Request
	switch r.Resource {
	case "nodes":
		s.setNode(t, r.OldObject)
		write = changed(t, suite.NodesPath+"/"+r.Name, f)
	case "pods":
		object := r.OldObject
		if r.Subresource == "eviction" {
			pod, _, err := r.Facts.Pod(r.Namespace, r.Name)
			suite.Check(t, err)
			object = suite.JSON(t, pod)
		}
		s.setPod(t, object)
		write = changed(t, "/api/v1/namespaces/"+r.Namespace+"/pods/"+r.Name, f)
	case "resourceslices.resource.k8s.io":
		s.setSlice(t, r.Name, r.OldObject)
		write = changed(t, slicesPath+"/"+r.Name, f)
	default:
		return false
	}
	a := attempt{dry(write), suite.Allowed, ""}
	if f.Want != fixture.Allowed {
		a.outcome = suite.Denied
	}
	var nodes []string
	if r.NodeName != "" {
		nodes = []string{r.NodeName}
	}
	a.check(t, path, s.impersonatedUser(t, r.User.Username, nodes...))
	return true
}

// changed is the write of a fixture to the object at a path: an update as a merge patch of what it changes.
func changed(t *testing.T, path string, f *fixture.Fixture) suite.Request {
	t.Helper()
	r := &f.Request
	switch {
	case r.Subresource == "eviction":
		return suite.Create(path+"/eviction", r.Object)
	case r.Operation == admissionv1.Create:
		return suite.Create(filepath.Dir(path), r.Object)
	case r.Operation == admissionv1.Delete:
		return suite.Delete(path, "")
	}
	patch, err := jsonpatch.CreateMergePatch(r.OldObject, r.Object)
	suite.Check(t, err)
	if r.Subresource != "" {
		path += "/" + r.Subresource
	}
	return suite.Request{Method: "PATCH", Path: path, Type: suite.MergePatch, Body: string(patch)}
}

// setNode makes a Node what a fixture begins with.
func (s *setup) setNode(t *testing.T, object []byte) {
	t.Helper()
	var node corev1.Node
	suite.Check(t, json.Unmarshal(object, &node))
	node.UID = ""
	nodes := s.Admin.CoreV1().Nodes()
	if err := nodes.Delete(t.Context(), node.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	stored, err := nodes.Create(t.Context(), &node, metav1.CreateOptions{})
	suite.Check(t, err)
	// The API server taints a new Node.
	stored.Spec.Taints = node.Spec.Taints
	_, err = nodes.Update(t.Context(), stored, metav1.UpdateOptions{})
	suite.Check(t, err)
}

// setPod makes a pod what a fixture begins with.
func (s *setup) setPod(t *testing.T, object []byte) {
	t.Helper()
	var pod corev1.Pod
	suite.Check(t, json.Unmarshal(object, &pod))
	pod.UID = ""
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: pod.Namespace}}
	if _, err := s.Admin.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	pods, now := s.Admin.CoreV1().Pods(pod.Namespace), int64(0)
	if err := pods.Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	stored, err := pods.Create(t.Context(), &pod, metav1.CreateOptions{})
	suite.Check(t, err)
	stored.Status = pod.Status
	_, err = pods.UpdateStatus(t.Context(), stored, metav1.UpdateOptions{})
	suite.Check(t, err)
}

// setSlice creates the ResourceSlice that a fixture begins with, or removes it.
func (s *setup) setSlice(t *testing.T, name string, object []byte) {
	t.Helper()
	admin := suite.Admin(t, s.ControlPlane.APIServer)
	admin.Send(t, suite.Delete(slicesPath+"/"+name, ""))
	if object != nil {
		admin.MustSend(t, suite.Create(slicesPath, object))
	}
}

// impersonatedUser returns a client of an administrator who impersonates a user with these names of nodes in its token.
func (s *setup) impersonatedUser(t *testing.T, name string, nodes ...string) *suite.Client {
	t.Helper()
	config, err := s.ControlPlane.Admin()
	suite.Check(t, err)
	config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: []string{"system:serviceaccounts"}}
	if strings.HasPrefix(name, "system:multus:") {
		config.Impersonate.Groups = []string{"system:multus"}
	} else if len(nodes) > 0 {
		config.Impersonate.Extra = map[string][]string{"authentication.kubernetes.io/node-name": nodes}
	}
	c, err := suite.NewClient(config)
	suite.Check(t, err)
	return c
}
