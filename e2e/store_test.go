// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/policy"
)

// store creates the old object in two steps, so that a server-side apply can remove what the fixture's kubelet removes: the part
// that its write can reach is owned by the field manager of the write.
func (s *setup) store(t *testing.T, w *write) []byte {
	t.Helper()
	r := &s.fixture.Request
	base := s.minimal(t)
	if r.Subresource != "" || s.objects != nil && r.Resource != "nodes" {
		// The other part of the object cannot be written through its status.
		var old struct {
			Spec     json.RawMessage `json:"spec,omitempty"`
			Metadata struct {
				Annotations map[string]string `json:"annotations,omitempty"`
			} `json:"metadata"`
		}
		suite.Check(t, json.Unmarshal(r.OldObject, &old))
		// A pod is a mirror pod from its creation on.
		for key := range old.Metadata.Annotations {
			if key != corev1.MirrorPodAnnotationKey {
				delete(old.Metadata.Annotations, key)
			}
		}
		base = merged(t, base, suite.JSON(t, old))
	}
	s.post(t, w, base)
	if r.Resource == "nodes" {
		s.removeAddedTaints(t, w, base)
		s.storeStatus(t, w)
	}
	return s.client.MustSend(t, suite.Request{
		Method: http.MethodPatch, Path: w.path(), Type: suite.ApplyPatch,
		Body:  string(s.applied(t, r.OldObject)),
		Query: "fieldManager=" + fieldManager + "&force=true",
	})
}

// storeStatus stores the status of a fixture's Node that the write does not go through.
func (s *setup) storeStatus(t *testing.T, w *write) {
	t.Helper()
	var old struct {
		Status json.RawMessage `json:"status,omitempty"`
	}
	suite.Check(t, json.Unmarshal(s.fixture.Request.OldObject, &old))
	if s.fixture.Request.Subresource == "" && old.Status != nil {
		s.client.MustSend(t, suite.PatchNodeStatus(w.name, suite.JSON(t, old)))
	}
}

// post stores an object, unless it is already stored because lookups find it, and returns it.
func (s *setup) post(t *testing.T, w *write, object []byte) []byte {
	t.Helper()
	if path := w.collection + "/" + w.name; s.objects != nil && s.objects.has(path) {
		return s.client.MustSend(t, suite.Request{Method: http.MethodGet, Path: path})
	}
	return s.client.MustSend(t, suite.Create(w.collection, object))
}

// withoutUID returns an object without its UID and version, which the API server generates.
func withoutUID(t *testing.T, object []byte) []byte {
	t.Helper()
	return merged(t, object, []byte(`{"metadata":{"uid":null,"resourceVersion":null}}`))
}

// storeDoomed stores an object that the write deletes. An object that is already being deleted is deleted before its status is set:
// the API server removes a finished pod immediately.
func (s *setup) storeDoomed(t *testing.T, w *write) []byte {
	t.Helper()
	if w.name == "" {
		return nil // of a collection
	}
	var old metav1.PartialObjectMetadata
	suite.Check(t, json.Unmarshal(s.fixture.Request.OldObject, &old))
	var parts map[string]json.RawMessage
	suite.Check(t, json.Unmarshal(s.fixture.Request.OldObject, &parts))
	body := merged(t, s.minimal(t), suite.JSON(t, map[string]any{
		"spec":     parts["spec"],
		"metadata": map[string]any{"annotations": old.Annotations, "labels": old.Labels},
	}))
	path := w.collection + "/" + w.name
	stored := s.post(t, w, body)
	if old.DeletionTimestamp != nil {
		stored = s.client.MustSend(t, suite.Request{
			Method: http.MethodDelete, Path: path, Query: "gracePeriodSeconds=600",
		})
	}
	if parts["status"] != nil {
		stored = s.client.MustSend(t, suite.PatchStatus(path, suite.JSON(t, map[string]any{"status": parts["status"]})))
	}
	return stored
}

// storeVictim stores the object whose subresource the write creates: the pod to evict, which is the one that lookups find or one on
// the kubelet's node.
func (s *setup) storeVictim(t *testing.T, w *write) []byte {
	t.Helper()
	if s.objects != nil {
		return s.post(t, w, s.minimal(t))
	}
	r := &s.fixture.Request
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: r.Name, Namespace: r.Namespace},
		Spec: corev1.PodSpec{
			NodeName: r.NodeName, Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/c"}},
		},
	}
	if facts, ok := r.Facts.(policy.StaticFacts); ok {
		if known, found, err := facts.Pod(r.Namespace, r.Name); err == nil && found {
			pod.Spec.NodeName = known.Spec.NodeName
		}
	}
	return s.client.MustSend(t, suite.Create(w.collection, suite.JSON(t, pod)))
}

// awaitCache waits until the API server's cache has the stored object. An API server evaluates a patch of the cached object first
// and, if that is refused, of the stored one: with an old cache, it would call the webhook twice.
func (s *setup) awaitCache(t *testing.T, w *write) {
	t.Helper()
	s.client.MustSend(t, suite.Request{
		Method: http.MethodGet, Path: w.collection + "/" + w.name,
		Query: "resourceVersion=" + resourceVersion(t, w.before),
	})
}

// removeAddedTaints removes the taint that the API server adds to a new Node.
func (s *setup) removeAddedTaints(t *testing.T, w *write, base []byte) {
	t.Helper()
	var node corev1.Node
	suite.Check(t, json.Unmarshal(base, &node))
	body := suite.JSON(t, map[string]any{"spec": map[string]any{"taints": node.Spec.Taints}})
	s.client.MustSend(t, suite.PatchNode(w.name, body))
}
