// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"gomodules.xyz/jsonpatch/v2"
	mergepatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/suite"
)

// fieldManager applies both the stored object and the new one: an apply removes what it leaves out.
const fieldManager = "fixture"

// write is a write to a cluster, with the complete object before and after it as JSON.
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
	encode func(t *testing.T, w *write) suite.Request
}

// creations returns the ways to create an object.
func creations() []encoding {
	post := func(contentType string, convert func(*testing.T, *write) []byte) func(*testing.T, *write) suite.Request {
		return func(t *testing.T, w *write) suite.Request {
			return suite.Request{Method: http.MethodPost, Path: w.collection, Type: contentType, Body: string(convert(t, w))}
		}
	}
	return []encoding{
		{"POST JSON", post(suite.JSONType, asJSON)},
		{"POST YAML", post(suite.YAMLType, asYAML)},
		{"POST protobuf", post(suite.ProtobufType, asProtobuf)},
		{"server-side apply", apply},
	}
}

// updates returns the ways to change an object.
func updates() []encoding {
	send := func(
		method, contentType string, convert func(*testing.T, *write) []byte,
	) func(*testing.T, *write) suite.Request {
		return func(t *testing.T, w *write) suite.Request {
			return suite.Request{Method: method, Path: w.path(), Type: contentType, Body: string(convert(t, w))}
		}
	}
	return []encoding{
		{"PUT JSON", send(http.MethodPut, suite.JSONType, asJSON)},
		{"PUT YAML", send(http.MethodPut, suite.YAMLType, asYAML)},
		{"PUT protobuf", send(http.MethodPut, suite.ProtobufType, asProtobuf)},
		{"JSON patch", send(http.MethodPatch, suite.JSONPatch, asJSONPatch)},
		{"merge patch", send(http.MethodPatch, suite.MergePatch, asMergePatch)},
		{"strategic merge patch", send(http.MethodPatch, suite.StrategicPatch, asStrategicMergePatch)},
		{"server-side apply", apply},
	}
}

// additions returns the ways to create a subresource of a stored object, for example the eviction of a pod.
func additions() []encoding {
	return []encoding{{"POST JSON", func(_ *testing.T, w *write) suite.Request {
		return suite.Request{Method: http.MethodPost, Path: w.path(), Type: suite.JSONType, Body: string(w.applied)}
	}}}
}

// deletions returns the ways to delete an object. A UID in the options is replaced with that of the stored object.
func deletions(options []byte) []encoding {
	return []encoding{{"DELETE", func(t *testing.T, w *write) suite.Request {
		body := options
		if len(body) > 0 {
			var o metav1.DeleteOptions
			suite.Check(t, json.Unmarshal(options, &o))
			if o.Preconditions != nil && o.Preconditions.UID != nil {
				var stored metav1.PartialObjectMetadata
				suite.Check(t, json.Unmarshal(w.before, &stored))
				o.Preconditions.UID = &stored.UID
			}
			o.APIVersion, o.Kind = "v1", "DeleteOptions"
			body = suite.JSON(t, o)
		}
		return suite.Request{Method: http.MethodDelete, Path: w.path(), Type: suite.JSONType, Body: string(body)}
	}}}
}

func apply(_ *testing.T, w *write) suite.Request {
	return suite.Request{
		Method: http.MethodPatch, Path: w.path(), Type: suite.ApplyPatch, Body: string(w.applied),
		Query: "fieldManager=" + fieldManager + "&force=true",
	}
}

func asJSON(_ *testing.T, w *write) []byte { return w.after }

func asYAML(t *testing.T, w *write) []byte {
	data, err := yaml.JSONToYAML(w.after)
	suite.Check(t, err)
	return data
}

func asProtobuf(t *testing.T, w *write) []byte {
	object := w.typed()
	suite.Check(t, json.Unmarshal(w.after, object))
	var out bytes.Buffer
	suite.Check(t, protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(object, &out))
	return out.Bytes()
}

func asJSONPatch(t *testing.T, w *write) []byte {
	operations, err := jsonpatch.CreatePatch(w.before, w.after)
	suite.Check(t, err)
	return suite.JSON(t, operations)
}

func asMergePatch(t *testing.T, w *write) []byte { return difference(t, w.before, w.after) }

func asStrategicMergePatch(t *testing.T, w *write) []byte {
	patch, err := strategicpatch.CreateTwoWayMergePatch(w.before, w.after, w.typed())
	suite.Check(t, err)
	return patch
}

// difference returns the merge patch from one document to another.
func difference(t *testing.T, from, to []byte) []byte {
	t.Helper()
	patch, err := mergepatch.CreateMergePatch(from, to)
	suite.Check(t, err)
	return patch
}

// merged returns a document after a merge patch.
func merged(t *testing.T, document, patch []byte) []byte {
	t.Helper()
	out, err := mergepatch.MergePatch(document, patch)
	suite.Check(t, err)
	return out
}
