// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"gomodules.xyz/jsonpatch/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	mergepatch "gopkg.in/evanphx/json-patch.v4"
)

// fieldManager applies the stored object and the new one, so that what an apply leaves out goes.
const fieldManager = "fixture"

// write is a write to a cluster: the object before and after, both whole and as JSON.
type write struct {
	collection  string // path, such as /api/v1/nodes
	name        string
	subresource string
	before      []byte // nil: the write creates
	after       []byte
	applied     []byte // what server-side apply sends: the fields of after that belong to the writer
	typed       func() runtime.Object
}

func (w *write) path() string {
	if w.name == "" {
		return w.collection
	}
	path := w.collection + "/" + w.name
	if w.subresource != "" {
		path += "/" + w.subresource
	}
	return path
}

// encoding is a way to send a write.
type encoding struct {
	name   string
	encode func(t *testing.T, w *write) call
}

// creations are the ways to create an object.
func creations() []encoding {
	post := func(contentType string, convert func(*testing.T, *write) []byte) func(*testing.T, *write) call {
		return func(t *testing.T, w *write) call {
			return call{method: http.MethodPost, path: w.collection, contentType: contentType, body: convert(t, w)}
		}
	}
	return []encoding{
		{"POST JSON", post(mediaJSON, asJSON)},
		{"POST YAML", post(mediaYAML, asYAML)},
		{"POST protobuf", post(mediaProtobuf, asProtobuf)},
		{"server-side apply", apply},
	}
}

// updates are the ways to change an object.
func updates() []encoding {
	send := func(
		method, contentType string, convert func(*testing.T, *write) []byte,
	) func(*testing.T, *write) call {
		return func(t *testing.T, w *write) call {
			return call{method: method, path: w.path(), contentType: contentType, body: convert(t, w)}
		}
	}
	return []encoding{
		{"PUT JSON", send(http.MethodPut, mediaJSON, asJSON)},
		{"PUT YAML", send(http.MethodPut, mediaYAML, asYAML)},
		{"PUT protobuf", send(http.MethodPut, mediaProtobuf, asProtobuf)},
		{"JSON patch", send(http.MethodPatch, mediaJSONPatch, asJSONPatch)},
		{"merge patch", send(http.MethodPatch, mediaMergePatch, asMergePatch)},
		{"strategic merge patch", send(http.MethodPatch, mediaStrategic, asStrategicMergePatch)},
		{"server-side apply", apply},
	}
}

// additions are the ways to create what belongs to a stored object, such as the eviction of a pod.
func additions() []encoding {
	return []encoding{{"POST JSON", func(_ *testing.T, w *write) call {
		return call{method: http.MethodPost, path: w.path(), contentType: mediaJSON, body: w.applied}
	}}}
}

// deletions are the ways to delete an object. A UID in the options stands for that of the stored object.
func deletions(options []byte) []encoding {
	return []encoding{{"DELETE", func(t *testing.T, w *write) call {
		body := options
		if len(body) > 0 {
			var o metav1.DeleteOptions
			check(t, json.Unmarshal(options, &o))
			if o.Preconditions != nil && o.Preconditions.UID != nil {
				var stored metav1.PartialObjectMetadata
				check(t, json.Unmarshal(w.before, &stored))
				o.Preconditions.UID = &stored.UID
			}
			o.APIVersion, o.Kind = "v1", "DeleteOptions"
			body = toJSON(t, o)
		}
		return call{method: http.MethodDelete, path: w.path(), contentType: mediaJSON, body: body}
	}}}
}

func apply(_ *testing.T, w *write) call {
	return call{
		method: http.MethodPatch, path: w.path(), contentType: mediaApply, body: w.applied,
		query: url.Values{"fieldManager": {fieldManager}, "force": {"true"}},
	}
}

func asJSON(_ *testing.T, w *write) []byte { return w.after }

func asYAML(t *testing.T, w *write) []byte {
	data, err := yaml.JSONToYAML(w.after)
	check(t, err)
	return data
}

func asProtobuf(t *testing.T, w *write) []byte {
	object := w.typed()
	check(t, json.Unmarshal(w.after, object))
	var out bytes.Buffer
	check(t, protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(object, &out))
	return out.Bytes()
}

func asJSONPatch(t *testing.T, w *write) []byte {
	operations, err := jsonpatch.CreatePatch(w.before, w.after)
	check(t, err)
	return toJSON(t, operations)
}

func asMergePatch(t *testing.T, w *write) []byte { return difference(t, w.before, w.after) }

func asStrategicMergePatch(t *testing.T, w *write) []byte {
	patch, err := strategicpatch.CreateTwoWayMergePatch(w.before, w.after, w.typed())
	check(t, err)
	return patch
}

// difference is the merge patch that makes one document the other.
func difference(t *testing.T, from, to []byte) []byte {
	t.Helper()
	patch, err := mergepatch.CreateMergePatch(from, to)
	check(t, err)
	return patch
}

// merged is a document after a merge patch.
func merged(t *testing.T, document, patch []byte) []byte {
	t.Helper()
	out, err := mergepatch.MergePatch(document, patch)
	check(t, err)
	return out
}
