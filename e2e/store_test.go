// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/policy"
)

// store creates the old object in two steps, so that server-side apply can take away what the fixture's kubelet takes
// away: the part that its write can reach belongs to a field manager that the write then uses.
func (s *setup) store(t *testing.T, w *write) []byte {
	t.Helper()
	r := &s.fixture.Request
	base := s.minimal(t)
	if r.Subresource != "" || s.objects != nil && r.Resource != "nodes" {
		// The other part of the object cannot be reached through status.
		var old struct {
			Spec     json.RawMessage `json:"spec,omitempty"`
			Metadata struct {
				Annotations map[string]string `json:"annotations,omitempty"`
			} `json:"metadata"`
		}
		check(t, json.Unmarshal(r.OldObject, &old))
		// A pod is a mirror pod from its creation.
		for key := range old.Metadata.Annotations {
			if key != corev1.MirrorPodAnnotationKey {
				delete(old.Metadata.Annotations, key)
			}
		}
		base = merged(t, base, toJSON(t, old))
	}
	s.post(t, w, base)
	if r.Resource == "nodes" {
		s.removeAddedTaints(t, w, base)
	}
	return s.admin.must(t, call{
		method: http.MethodPatch, path: w.path(), contentType: mediaApply,
		body:  s.applied(t, r.OldObject),
		query: url.Values{"fieldManager": {fieldManager}, "force": {"true"}},
	})
}

// post stores an object, unless it is one that look-ups find and stored already, and returns it.
func (s *setup) post(t *testing.T, w *write, object []byte) []byte {
	t.Helper()
	if path := w.collection + "/" + w.name; s.objects != nil && s.objects.has(path) {
		return s.admin.must(t, call{method: http.MethodGet, path: path})
	}
	return s.admin.must(t, call{method: http.MethodPost, path: w.collection, contentType: mediaJSON, body: object})
}

// withoutUID is an object without its UID and version, which are for the API server to choose.
func withoutUID(t *testing.T, object []byte) []byte {
	t.Helper()
	return merged(t, object, []byte(`{"metadata":{"uid":null,"resourceVersion":null}}`))
}

// storeDoomed stores an object that is to be deleted: one that is being deleted already is deleted first, because the
// API server ends the deletion of a finished pod at once.
func (s *setup) storeDoomed(t *testing.T, w *write) []byte {
	t.Helper()
	if w.name == "" {
		return nil // of a collection
	}
	var old metav1.PartialObjectMetadata
	check(t, json.Unmarshal(s.fixture.Request.OldObject, &old))
	var parts map[string]json.RawMessage
	check(t, json.Unmarshal(s.fixture.Request.OldObject, &parts))
	body := merged(t, s.minimal(t), toJSON(t, map[string]any{
		"spec":     parts["spec"],
		"metadata": map[string]any{"annotations": old.Annotations, "labels": old.Labels},
	}))
	path := w.collection + "/" + w.name
	stored := s.post(t, w, body)
	if old.DeletionTimestamp != nil {
		stored = s.admin.must(t, call{
			method: http.MethodDelete, path: path, query: url.Values{"gracePeriodSeconds": {"600"}},
		})
	}
	if parts["status"] != nil {
		stored = s.admin.must(t, call{
			method: http.MethodPatch, path: path + "/status", contentType: mediaMergePatch,
			body: toJSON(t, map[string]any{"status": parts["status"]}),
		})
	}
	return stored
}

// storeVictim stores the object that the write adds to: the pod that is to be evicted, which is the one that look-ups
// find, or one on the kubelet's node.
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
	return s.admin.must(t, call{
		method: http.MethodPost, path: w.collection, contentType: mediaJSON, body: toJSON(t, pod),
	})
}

// awaitCache waits until the API server's cache has the object as stored. An API server judges a patch of what is in
// its cache first and, if that is refused, once more of what is stored: with the old state, we would be asked twice.
func (s *setup) awaitCache(t *testing.T, w *write) {
	t.Helper()
	s.admin.must(t, call{
		method: http.MethodGet, path: w.collection + "/" + w.name,
		query: url.Values{"resourceVersion": {resourceVersion(t, w.before)}},
	})
}

// removeAddedTaints takes away the taint that the API server gives a new Node.
func (s *setup) removeAddedTaints(t *testing.T, w *write, base []byte) {
	t.Helper()
	var node corev1.Node
	check(t, json.Unmarshal(base, &node))
	body := toJSON(t, map[string]any{"spec": map[string]any{"taints": node.Spec.Taints}})
	s.admin.must(t, call{
		method: http.MethodPatch, path: "/api/v1/nodes/" + w.name, contentType: mediaMergePatch, body: body,
	})
}
