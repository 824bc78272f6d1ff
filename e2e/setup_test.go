// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// setup prepares a cluster for a fixture's write to an API server.
type setup struct {
	*environment
	client   *suite.Client // of an administrator
	fixture  *fixture.Fixture
	resource resource
	// objects are the objects that lookups find if the fixture's kubelet is freed. Otherwise lookups find only Nodes, and the kubelet's
	// write is completed to one that NodeRestriction allows.
	objects *objects
	facts   [][]byte
}

// newSetup returns the setup for a fixture with these facts. Nil: the kubelet is not freed.
func (s *environment) newSetup(t *testing.T, f *fixture.Fixture, server *controlplane.APIServer, facts [][]byte) *setup {
	t.Helper()
	out := &setup{environment: s, client: suite.Admin(t, server), fixture: f, resource: resourceOf(t, f.Request.Resource)}
	if facts != nil {
		out.objects, out.facts = &objects{client: out.client}, facts
	}
	return out
}

func (s *setup) collection() string { return s.resource.collection(s.fixture.Request.Namespace) }

// name returns the object's name. There is no name if it is to be generated, or if the request is about a collection.
func (s *setup) name(t *testing.T) string {
	t.Helper()
	r := &s.fixture.Request
	if r.Subresource != "" && r.Name != "" {
		return r.Name
	}
	object := r.Object
	if object == nil {
		object = r.OldObject
	}
	var o metav1.PartialObjectMetadata
	suite.Check(t, json.Unmarshal(object, &o))
	return o.Name
}

// set stores what the fixture says is stored, merged into a minimal valid object, and returns its write.
func (s *setup) set(t *testing.T) *write {
	t.Helper()
	r := &s.fixture.Request
	s.setNamespace(t)
	s.clear(t)
	if s.objects != nil {
		s.setObjects(t)
	} else {
		s.setNodes(t)
		s.setCSIDrivers(t)
	}
	w := &write{collection: s.collection(), name: s.name(t), subresource: r.Subresource, typed: s.resource.typed}
	switch {
	case r.Operation == admissionv1.Create && r.Subresource != "":
		w.applied, w.before = r.Object, s.storeVictim(t, w)
		return w
	case r.Operation == admissionv1.Delete:
		w.before = s.storeDoomed(t, w)
		return w
	}
	w.applied = s.applied(t, r.Object)
	if r.Operation == admissionv1.Create {
		w.after = merged(t, s.minimal(t), r.Object)
		if s.objects != nil {
			w.applied = w.after
		}
		return w
	}
	w.before = s.store(t, w)
	s.awaitCache(t, w)
	w.after = merged(t, w.before, difference(t, withoutUID(t, r.OldObject), withoutUID(t, r.Object)))
	return w
}

// setObjects stores what lookups find, and replaces the UIDs in the fixture's write.
func (s *setup) setObjects(t *testing.T) {
	t.Helper()
	if len(s.objects.paths) > 0 {
		return // for an earlier encoding
	}
	uids := s.objects.store(t, s.facts)
	r := &s.fixture.Request
	for _, object := range []*[]byte{&r.Object, &r.OldObject} {
		if *object != nil {
			*object = renamed(*object, uids)
		}
	}
}

// applied returns what server-side apply sends of an object.
func (s *setup) applied(t *testing.T, object []byte) []byte {
	t.Helper()
	return merged(t, s.identity(t), withoutUID(t, object))
}

// identity returns the object with nothing but its identity.
func (s *setup) identity(t *testing.T) []byte {
	t.Helper()
	return suite.JSON(t, map[string]any{
		"apiVersion": s.resource.apiVersion(), "kind": s.resource.kind, "metadata": map[string]any{"name": s.name(t)},
	})
}

// minimal returns a valid object with the fixture's name. A Pod that the kubelet creates is a mirror pod, unless the kubelet is freed.
func (s *setup) minimal(t *testing.T) []byte {
	t.Helper()
	r := &s.fixture.Request
	object := s.identity(t)
	if s.objects != nil {
		return s.resource.completed(t, object)
	}
	if r.Resource != "pods" {
		return object
	}
	object = merged(t, object, suite.JSON(t, map[string]any{"spec": corev1.PodSpec{
		NodeName: r.NodeName, Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/c"}},
	}}))
	if r.Operation != admissionv1.Create {
		return object
	}
	return merged(t, object, suite.JSON(t, map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{corev1.MirrorPodAnnotationKey: "9a8b7c"},
		"ownerReferences": []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Node", Name: r.NodeName, UID: s.nodeUID(t), Controller: new(true),
		}},
	}}))
}

// nodeUID returns the UID of the kubelet's Node, or a made-up one if the Node does not exist.
func (s *setup) nodeUID(t *testing.T) types.UID {
	t.Helper()
	node, err := s.Admin.CoreV1().Nodes().Get(t.Context(), s.fixture.Request.NodeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "00000000-0000-0000-0000-000000000000"
	}
	suite.Check(t, err)
	return node.UID
}

// nodeFacts returns the Nodes that lookups find.
func (s *setup) nodeFacts() map[string]*object.Metadata {
	facts, _ := s.fixture.Request.Facts.(policy.StaticFacts)
	return facts.Nodes
}

func (s *setup) setNamespace(t *testing.T) {
	t.Helper()
	name := s.fixture.Request.Namespace
	if name == "" {
		return
	}
	_, err := s.Admin.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		suite.Check(t, err)
	}
}

// setNodes stores the Nodes that lookups find, and the owner of a mirror pod. An existing Node is updated and not replaced, because
// API servers and the product notice a new Node a moment later.
func (s *setup) setNodes(t *testing.T) {
	t.Helper()
	r := &s.fixture.Request
	want := map[string]map[string]string{}
	for name, node := range s.nodeFacts() {
		want[name] = node.Labels
	}
	if r.Resource == "nodes" {
		delete(want, s.name(t))
	} else if valid := len(validation.IsDNS1123Subdomain(r.NodeName)) == 0; valid && len(want) == 0 &&
		r.Operation == admissionv1.Create {
		want[r.NodeName] = nil
	}
	nodes := s.Admin.CoreV1().Nodes()
	if len(want) == 0 && r.Resource == "pods" {
		if err := nodes.Delete(t.Context(), r.NodeName, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
			suite.Check(t, err)
		}
	}
	for name, labels := range want {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
		node.Spec.ProviderID = s.providerID(name)
		s.removeOtherMachine(t, node)
		_, err := nodes.Create(t.Context(), node, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			node, err = nodes.Get(t.Context(), name, metav1.GetOptions{})
			suite.Check(t, err)
			node.Labels = labels
			_, err = nodes.Update(t.Context(), node, metav1.UpdateOptions{})
		}
		suite.Check(t, err)
		s.setAddresses(t, name)
	}
}

// providerID returns the provider ID that a Node of the fixture's facts has.
func (s *setup) providerID(name string) string {
	facts, ok := s.fixture.Request.Facts.(policy.StaticFacts)
	if !ok || facts.NodeObjects[name] == nil {
		return ""
	}
	return facts.NodeObjects[name].Spec.ProviderID
}

// removeOtherMachine deletes a stored Node of the same name that has not the wanted provider ID, which no update can change.
func (s *setup) removeOtherMachine(t *testing.T, want *corev1.Node) {
	t.Helper()
	if want.Spec.ProviderID == "" {
		return
	}
	nodes := s.Admin.CoreV1().Nodes()
	stored, err := nodes.Get(t.Context(), want.Name, metav1.GetOptions{})
	if err == nil && stored.Spec.ProviderID != want.Spec.ProviderID {
		err = nodes.Delete(t.Context(), want.Name, metav1.DeleteOptions{})
	}
	if !apierrors.IsNotFound(err) {
		suite.Check(t, err)
	}
}

// setAddresses sets the addresses of a Node that the fixture has.
func (s *setup) setAddresses(t *testing.T, name string) {
	t.Helper()
	facts, ok := s.fixture.Request.Facts.(policy.StaticFacts)
	if !ok || facts.NodeObjects[name] == nil || len(facts.NodeObjects[name].Status.Addresses) == 0 {
		return
	}
	nodes := s.Admin.CoreV1().Nodes()
	node, err := nodes.Get(t.Context(), name, metav1.GetOptions{})
	suite.Check(t, err)
	node.Status.Addresses = facts.NodeObjects[name].Status.Addresses
	_, err = nodes.UpdateStatus(t.Context(), node, metav1.UpdateOptions{})
	suite.Check(t, err)
}

// setCSIDrivers stores the CSIDrivers that lookups find, until the test ends.
func (s *setup) setCSIDrivers(t *testing.T) {
	t.Helper()
	facts, _ := s.fixture.Request.Facts.(policy.StaticFacts)
	drivers := s.Admin.StorageV1().CSIDrivers()
	for name := range facts.CSIDrivers {
		_, err := drivers.Create(t.Context(), &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			continue
		}
		suite.Check(t, err)
		t.Cleanup(func() {
			suite.Check(t, drivers.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}))
		})
	}
}

// clear deletes the fixture's object, unless lookups find it.
func (s *setup) clear(t *testing.T) {
	t.Helper()
	path := s.collection() + "/" + s.name(t)
	if s.name(t) == "" || s.objects != nil && s.objects.has(path) {
		return
	}
	(&objects{client: s.client}).remove(t, path)
	// Server-side apply begins with what the API server's cache has: the object that is gone would be updated first, and denied.
	suite.Eventually(t, 10*time.Second, func() error {
		a := s.client.Do(t.Context(), suite.Request{Method: http.MethodGet, Path: path, Query: "resourceVersion=0"})
		if a.Code != http.StatusNotFound {
			return errors.New(a.String())
		}
		return nil
	})
}
