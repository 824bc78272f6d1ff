// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/suite"
)

// objects are the objects in a cluster that lookups of a fixture find.
type objects struct {
	client *suite.Client // of an administrator
	paths  []string      // of the stored objects
}

// factsOf returns the objects that lookups of a fixture find, as JSON.
func factsOf(t *testing.T, data []byte) [][]byte {
	t.Helper()
	facts := [][]byte{}
	for _, file := range txtar.Parse(data).Files {
		if file.Name != "facts.yaml" {
			continue
		}
		for document := range bytes.SplitSeq(file.Data, []byte("---\n")) {
			object, err := yaml.YAMLToJSON(document)
			suite.Check(t, err)
			facts = append(facts, object)
		}
	}
	return facts
}

// store stores objects and returns the new UID of each object that had one.
func (w *objects) store(t *testing.T, all [][]byte) map[string]string {
	t.Helper()
	uids := map[string]string{}
	for _, object := range all {
		var o metav1.PartialObjectMetadata
		suite.Check(t, json.Unmarshal(object, &o))
		r := resourceOfKind(t, o.Kind)
		path := r.collection(o.Namespace) + "/" + o.Name
		w.remove(t, path)
		w.paths = append(w.paths, path)
		body := r.completed(t, withoutUID(t, renamed(object, uids)))
		stored := w.client.MustSend(t, suite.Create(r.collection(o.Namespace), body))
		w.storeStatus(t, path, object)
		if o.UID != "" {
			var s metav1.PartialObjectMetadata
			suite.Check(t, json.Unmarshal(stored, &s))
			uids[string(o.UID)] = string(s.UID)
		}
	}
	return uids
}

// storeStatus stores the status of an object, which a creation drops.
func (w *objects) storeStatus(t *testing.T, path string, object []byte) {
	t.Helper()
	var o struct {
		Status json.RawMessage `json:"status"`
	}
	suite.Check(t, json.Unmarshal(object, &o))
	if len(o.Status) > 0 {
		w.client.MustSend(t, suite.PatchStatus(path, suite.JSON(t, map[string]any{"status": o.Status})))
	}
}

// clear removes the stored objects.
func (w *objects) clear(t *testing.T) {
	t.Helper()
	for _, path := range w.paths {
		w.remove(t, path)
	}
	w.paths = nil
}

// remove deletes an object, with or without finalizers, if it exists.
func (w *objects) remove(t *testing.T, path string) {
	t.Helper()
	unblock := suite.Request{Method: http.MethodPatch, Path: path, Type: suite.MergePatch, Body: `{"metadata":{"finalizers":null}}`}
	for _, r := range []suite.Request{unblock, {Method: http.MethodDelete, Path: path, Query: "gracePeriodSeconds=0"}} {
		if a := w.client.Send(t, r); a.Outcome != suite.Allowed && a.Code != http.StatusNotFound {
			t.Fatalf("%s %s: %s", r.Method, r.Path, a)
		}
	}
}

// has reports whether the object at a path was stored.
func (w *objects) has(path string) bool { return slices.Contains(w.paths, path) }

// renamed returns a document in which the UIDs of a fixture are replaced with those that the API server has generated.
func renamed(document []byte, uids map[string]string) []byte {
	for from, to := range uids {
		document = bytes.ReplaceAll(document, []byte(from), []byte(to))
	}
	return document
}
