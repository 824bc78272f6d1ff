// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// objects is the objects that look-ups of a fixture find, in a cluster.
type objects struct {
	admin caller
	paths []string // of the stored ones
}

// factsOf are the objects that look-ups of a fixture find, as JSON.
func factsOf(t *testing.T, data []byte) [][]byte {
	t.Helper()
	facts := [][]byte{}
	for _, file := range txtar.Parse(data).Files {
		if file.Name != "facts.yaml" {
			continue
		}
		for document := range bytes.SplitSeq(file.Data, []byte("---\n")) {
			object, err := yaml.YAMLToJSON(document)
			check(t, err)
			facts = append(facts, object)
		}
	}
	return facts
}

// store stores objects and returns by which UID each that had one goes now.
func (w *objects) store(t *testing.T, objects [][]byte) map[string]string {
	t.Helper()
	uids := map[string]string{}
	for _, object := range objects {
		var o metav1.PartialObjectMetadata
		check(t, json.Unmarshal(object, &o))
		r := resourceOfKind(t, o.Kind)
		path := r.collection(o.Namespace) + "/" + o.Name
		w.remove(t, path)
		w.paths = append(w.paths, path)
		body := r.completed(t, withoutUID(t, renamed(object, uids)))
		stored := w.admin.must(t, call{
			method: http.MethodPost, path: r.collection(o.Namespace), contentType: mediaJSON, body: body,
		})
		w.storeStatus(t, path, object)
		if o.UID != "" {
			var s metav1.PartialObjectMetadata
			check(t, json.Unmarshal(stored, &s))
			uids[string(o.UID)] = string(s.UID)
		}
	}
	return uids
}

// storeStatus stores the status of an object, which its creation drops.
func (w *objects) storeStatus(t *testing.T, path string, object []byte) {
	t.Helper()
	var o struct {
		Status json.RawMessage `json:"status"`
	}
	check(t, json.Unmarshal(object, &o))
	if len(o.Status) > 0 {
		w.admin.must(t, call{
			method: http.MethodPatch, path: path + "/status", contentType: mediaMergePatch,
			body: toJSON(t, map[string]any{"status": o.Status}),
		})
	}
}

// clear removes what was stored.
func (w *objects) clear(t *testing.T) {
	t.Helper()
	for _, path := range w.paths {
		w.remove(t, path)
	}
	w.paths = nil
}

// remove deletes an object, with or without finalizers, if there is one.
func (w *objects) remove(t *testing.T, path string) {
	t.Helper()
	for _, r := range []call{
		{
			method: http.MethodPatch, path: path, contentType: mediaMergePatch,
			body: []byte(`{"metadata":{"finalizers":null}}`),
		},
		{method: http.MethodDelete, path: path, query: url.Values{"gracePeriodSeconds": {"0"}}},
	} {
		a, err := w.admin.do(t.Context(), r)
		check(t, err)
		if a.code >= http.StatusBadRequest && a.code != http.StatusNotFound {
			t.Fatalf("%s %s: %s", r.method, r.path, a)
		}
	}
}

// has reports whether an object was stored.
func (w *objects) has(path string) bool {
	for _, p := range w.paths {
		if p == path {
			return true
		}
	}
	return false
}

// renamed is a document in which UIDs that no API server would give out are those that it has given out.
func renamed(document []byte, uids map[string]string) []byte {
	for from, to := range uids {
		document = bytes.ReplaceAll(document, []byte(from), []byte(to))
	}
	return document
}
