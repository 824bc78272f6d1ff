// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	mergepatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/suite"
)

// placeholder is replaced with the number when an object is encoded.
const placeholder = "NUMBER"

// numbers returns quantities that no kubelet prints and that cost an API server more than others to parse or to print. 1e-999999999 is
// not among them: an API server never finishes parsing it, no matter who sends it, and loses a thread.
func numbers() map[string]string {
	return map[string]string{
		"an exponent of five digits":            "1234567890123456789e60000",
		"a power of ten":                        "1e60000",
		"a smaller exponent":                    "1234567890123456789e30000",
		"a capital exponent":                    "1234567890123456789E30000",
		"an exponent with zeros before it":      "1234567890123456789e0000030000",
		"a number with a plus":                  "+1234567890123456789e30000",
		"a negative number":                     "-1234567890123456789e30000",
		"an exponent of seven digits":           "1e9999999",
		"a negative exponent of seven digits":   "1e-9999999",
		"a fraction behind 64 KiB of zeros":     "0." + strings.Repeat("0", 64<<10) + "1",
		"64 KiB of digits":                      strings.Repeat("12345678", 8<<10),
		"900,000 digits":                        strings.Repeat("123456789", 100_000),
		"a thousand nines of a binary multiple": strings.Repeat("9", 1000) + "Ki",
		"a small exponent":                      "1234567890123456789e600",
	}
}

// target is an object whose status a kubelet writes.
type target struct {
	kind, path string
	typed      func() runtime.Object
	fields     []string
	// change returns the change: something with the mark that a policy denies, and a field with the number.
	change func(field, mark string) map[string]any
}

func targets() map[string]target {
	return map[string]target{
		"Node": {
			kind: "Node", path: suite.NodesPath + "/" + node, typed: func() runtime.Object { return &corev1.Node{} },
			fields: []string{
				"capacity cpu", "capacity example.com/gpu", "capacity hugepages-2Mi", "allocatable memory", "allocatable example.com/gpu",
			},
			change: func(field, mark string) map[string]any {
				list, resource, _ := strings.Cut(field, " ")
				return nodeChange(mark, list, resource, placeholder)
			},
		},
		"Pod": {
			kind: "Pod", path: suite.PodsPath + "/victim", typed: func() runtime.Object { return &corev1.Pod{} },
			fields: []string{
				"containerStatuses allocatedResources", "containerStatuses requests", "containerStatuses limits",
				"initContainerStatuses allocatedResources", "initContainerStatuses limits",
				"ephemeralContainerStatuses allocatedResources", "ephemeralContainerStatuses requests",
				"pod allocatedResources", "pod requests",
			},
			change: podChange,
		},
	}
}

// nodeChange sets an address of a Node, and a quantity if a list is named.
func nodeChange(address, list, resource, number string) map[string]any {
	status := map[string]any{"addresses": []any{map[string]any{"type": "InternalIP", "address": address}}}
	if list != "" {
		status[list] = map[string]any{resource: number}
	}
	return map[string]any{"status": status}
}

// podChange sets an address and a quantity of a pod.
func podChange(field, address string) map[string]any {
	// The victim has no address yet: no encoding adds to a list.
	status := map[string]any{"podIP": address, "podIPs": []any{map[string]any{"ip": address}}}
	list, kind, _ := strings.Cut(field, " ")
	holder := map[string]any{}
	quantities := map[string]any{"cpu": placeholder}
	if kind == "allocatedResources" {
		holder[kind] = quantities
	} else {
		holder["resources"] = map[string]any{kind: quantities}
	}
	if list == "pod" {
		for key, value := range holder {
			status[key] = value
		}
	} else {
		// The first letter is the name of the container.
		for key, value := range map[string]any{
			"name": list[:1], "image": "registry.example.com/" + list[:1], "imageID": "", "ready": false, "restartCount": 0,
		} {
			holder[key] = value
		}
		status[list] = []any{holder}
	}
	return map[string]any{"status": status}
}

// encoding is a way to send a change of a status, with the number in place of the placeholder.
type encoding func(t *testing.T, before []byte, o target, change map[string]any, number string) suite.Request

// insert replaces the placeholder with the number.
func insert(text, number string) string { return strings.ReplaceAll(text, placeholder, number) }

func encodings() map[string]encoding {
	patch := func(mediaType string) encoding {
		return func(t *testing.T, _ []byte, o target, change map[string]any, number string) suite.Request {
			return suite.Request{
				Method: http.MethodPatch, Path: o.path + "/status", Type: mediaType, Body: insert(string(suite.JSON(t, change)), number),
			}
		}
	}
	put := func(mediaType string, encode func(t *testing.T, after []byte, o target, number string) string) encoding {
		return func(t *testing.T, before []byte, o target, change map[string]any, number string) suite.Request {
			after, err := mergepatch.MergePatch(before, suite.JSON(t, change))
			suite.Check(t, err)
			return suite.Request{
				Method: http.MethodPut, Path: o.path + "/status", Type: mediaType, Body: encode(t, after, o, number),
			}
		}
	}
	return map[string]encoding{
		"merge patch":           patch(suite.MergePatch),
		"strategic merge patch": patch(suite.StrategicPatch),
		"server-side apply": func(t *testing.T, _ []byte, o target, change map[string]any, number string) suite.Request {
			change["apiVersion"], change["kind"] = "v1", o.kind
			change["metadata"] = map[string]any{"name": o.path[strings.LastIndex(o.path, "/")+1:]}
			return suite.Request{
				Method: http.MethodPatch, Path: o.path + "/status", Query: "fieldManager=numbers&force=true",
				Type: suite.ApplyPatch, Body: insert(string(suite.JSON(t, change)), number),
			}
		},
		"JSON patch": func(t *testing.T, _ []byte, o target, change map[string]any, number string) suite.Request {
			var operations []any
			for field, value := range change["status"].(map[string]any) {
				operations = append(operations, map[string]any{"op": "add", "path": "/status/" + field, "value": value})
			}
			return suite.Request{
				Method: http.MethodPatch, Path: o.path + "/status", Type: suite.JSONPatch,
				Body: insert(string(suite.JSON(t, operations)), number),
			}
		},
		"PUT JSON": put(suite.JSONType, func(_ *testing.T, after []byte, _ target, number string) string {
			return insert(string(after), number)
		}),
		"PUT a JSON number": put(suite.JSONType, func(_ *testing.T, after []byte, _ target, number string) string {
			return strings.ReplaceAll(string(after), `"`+placeholder+`"`, number)
		}),
		"PUT YAML": put(suite.YAMLType, func(t *testing.T, after []byte, _ target, number string) string {
			data, err := yaml.JSONToYAML(after)
			suite.Check(t, err)
			return insert(string(data), `"`+number+`"`)
		}),
		"PUT protobuf": put(suite.ProtobufType, asProtobuf),
	}
}

// asProtobuf encodes the object with another number of the same length, which is then replaced.
func asProtobuf(t *testing.T, after []byte, o target, number string) string {
	t.Helper()
	other := strings.Repeat("1", len(number))
	object := o.typed()
	suite.Check(t, json.Unmarshal([]byte(insert(string(after), other)), object))
	var out bytes.Buffer
	suite.Check(t, protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(object, &out))
	if !strings.Contains(out.String(), other) {
		t.Fatal("the number is encoded differently")
	}
	return strings.ReplaceAll(out.String(), other, number)
}

// slowWrite is one attack.
type slowWrite struct{ target, field, number, encoding string }

func (w slowWrite) name() string {
	return strings.Join([]string{w.number, "in", w.target, w.field, "by", w.encoding}, " ")
}

// everyNumber is the environment variable that selects all combinations, which take hours.
const everyNumber = "NRP_EVERY_NUMBER"

// slowWrites returns some writes of each kind, or all numbers in all fields and encodings.
func slowWrites() []slowWrite {
	if os.Getenv(everyNumber) != "" {
		var all []slowWrite
		for name, o := range targets() {
			for _, field := range o.fields {
				for number := range numbers() {
					for encoding := range encodings() {
						all = append(all, slowWrite{name, field, number, encoding})
					}
				}
			}
		}
		return all
	}
	return []slowWrite{
		{"Node", "capacity cpu", "an exponent of five digits", "merge patch"},
		{"Node", "allocatable memory", "a smaller exponent", "strategic merge patch"},
		{"Node", "capacity example.com/gpu", "a power of ten", "server-side apply"},
		{"Node", "capacity hugepages-2Mi", "a capital exponent", "JSON patch"},
		{"Node", "capacity cpu", "an exponent with zeros before it", "PUT JSON"},
		{"Node", "allocatable example.com/gpu", "a number with a plus", "PUT YAML"},
		{"Node", "capacity cpu", "a smaller exponent", "PUT a JSON number"},
		{"Node", "capacity cpu", "a smaller exponent", "PUT protobuf"},
		{"Node", "allocatable memory", "an exponent of seven digits", "merge patch"},
		{"Node", "capacity cpu", "a negative exponent of seven digits", "merge patch"},
		{"Node", "capacity cpu", "a negative number", "merge patch"},
		{"Node", "capacity cpu", "a fraction behind 64 KiB of zeros", "merge patch"},
		{"Node", "capacity cpu", "64 KiB of digits", "merge patch"},
		{"Node", "allocatable memory", "a thousand nines of a binary multiple", "merge patch"},
		{"Node", "capacity cpu", "a small exponent", "merge patch"},
		{"Pod", "containerStatuses allocatedResources", "an exponent of five digits", "strategic merge patch"},
		{"Pod", "containerStatuses requests", "a capital exponent", "merge patch"},
		{"Pod", "containerStatuses limits", "a smaller exponent", "PUT protobuf"},
		{"Pod", "initContainerStatuses allocatedResources", "a smaller exponent", "JSON patch"},
		{"Pod", "initContainerStatuses limits", "64 KiB of digits", "server-side apply"},
		{"Pod", "ephemeralContainerStatuses allocatedResources", "a power of ten", "merge patch"},
		{"Pod", "ephemeralContainerStatuses requests", "a smaller exponent", "PUT JSON"},
		{"Pod", "pod allocatedResources", "a smaller exponent", "merge patch"},
		{"Pod", "pod requests", "a smaller exponent", "PUT YAML"},
	}
}

// testSlowNumbers sends writes that a policy denies and whose review takes an API server so long to encode that no time is left for
// the call. Whatever the outcome, they must not be stored.
func (h *hostile) testSlowNumbers(t *testing.T) {
	h.createVictim(t)
	for _, w := range slowWrites() {
		t.Run(w.name(), func(t *testing.T) {
			o := targets()[w.target]
			code, before, err := h.administrator.Get(suite.Within(t, time.Minute), o.path)
			suite.Check(t, err)
			if code != http.StatusOK {
				t.Fatalf("%d %.300q", code, before)
			}
			mark := h.nextAddress()
			write := encodings()[w.encoding](t, before, o, o.change(w.field, mark), numbers()[w.number])
			h.attack(t, h.kubelet, write)
			if h.checkNotStored(t, o.path, mark) {
				h.restore(t, w.target)
			}
		})
	}
	t.Run("creations", h.testSlowCreations)
	h.checkDenies(t)
}

// attack sends a write that must not pass.
func (h *hostile) attack(t *testing.T, kubelet *suite.Client, write suite.Request) {
	t.Helper()
	a := kubelet.Do(suite.Within(t, 3*time.Minute), write)
	t.Logf("%s, %.300s", a.Outcome, a)
	if a.Outcome == suite.Allowed || a.Outcome == suite.Exists {
		t.Errorf("the outcome is: %s", a.Outcome)
	}
}

func (h *hostile) createVictim(t *testing.T) {
	t.Helper()
	h.createPod(t, "victim", `{}`)
}

// restore removes what an attack has stored.
func (h *hostile) restore(t *testing.T, kind string) {
	t.Helper()
	ctx := suite.Within(t, 2*time.Minute)
	if kind == "Pod" {
		if a := h.administrator.Do(ctx, deleteNow(suite.PodsPath+"/victim")); a.Outcome != suite.Allowed {
			t.Fatal(a)
		}
		h.createVictim(t)
		return
	}
	if a := h.administrator.Do(ctx, deleteNow(suite.NodesPath+"/"+node)); a.Outcome != suite.Allowed {
		t.Fatal(a)
	}
	if a := h.kubelet.Do(ctx, suite.RegisterNode(node, nil)); a.Outcome != suite.Allowed {
		t.Fatal(a)
	}
}

// deleteNow deletes an object without a grace period.
func deleteNow(path string) suite.Request { return suite.Delete(path, `{"gracePeriodSeconds":0}`) }

// testSlowCreations creates objects that have a slow number and that a policy denies.
func (h *hostile) testSlowCreations(t *testing.T) {
	number := numbers()["a smaller exponent"]
	late := suite.Kubelet(t, h.ControlPlane.APIServer, "late")
	_, body, err := h.administrator.Get(suite.Within(t, time.Minute), suite.NodesPath+"/"+node)
	suite.Check(t, err)
	register := func(list string) suite.Request {
		change := nodeChange("127.0.0.1", list, "cpu", number)
		change["apiVersion"], change["kind"], change["metadata"] = "v1", "Node", map[string]any{"name": "late"}
		return suite.Create(suite.NodesPath, suite.JSON(t, change))
	}
	for _, test := range []struct {
		name, path string
		kubelet    *suite.Client
		write      suite.Request
	}{
		{"a Node with an address and a capacity", suite.NodesPath + "/late", late, register("capacity")},
		{"a Node with an address and allocatable resources", suite.NodesPath + "/late", late, register("allocatable")},
		{"a mirror pod with a denied label", suite.PodsPath + "/mirror-" + node, h.kubelet, createMirrorPod(t, body, number)},
		{"a ResourceSlice", slicesPath + "/slice", h.kubelet, createSlice("slice", number)},
	} {
		t.Run(test.name, func(t *testing.T) {
			h.attack(t, test.kubelet, test.write)
			code, _, err := h.administrator.Get(suite.Within(t, 2*time.Minute), test.path)
			suite.Check(t, err)
			if code != http.StatusNotFound {
				t.Errorf("a read returns %d", code)
				h.administrator.Do(t.Context(), deleteNow(test.path))
			}
		})
	}
}

const slicesPath = "/apis/resource.k8s.io/v1/resourceslices"

// createSlice creates a ResourceSlice that offers a device with a capacity.
func createSlice(name, number string) suite.Request {
	return suite.Create(slicesPath, fmt.Sprintf(
		`{"apiVersion":"resource.k8s.io/v1","kind":"ResourceSlice","metadata":{"name":%q},"spec":{"driver":"a.example.com",`+
			`"nodeName":%q,"pool":{"name":"a","generation":1,"resourceSliceCount":1},"devices":[{"name":"a","capacity":{"a":{"value":%q}}}]}}`,
		name, node, number))
}

// createMirrorPod creates a mirror pod of the node, given as JSON, with a label that Services select.
func createMirrorPod(t *testing.T, ofNode []byte, number string) suite.Request {
	t.Helper()
	pod := suite.MirrorPod{
		Namespace: metav1.NamespaceDefault, Name: "mirror-" + node, Labels: map[string]string{"app": "payments"},
		Node: node, NodeUID: uidOf(t, ofNode),
	}
	object := pod.Object()
	object["spec"].(map[string]any)["containers"] = []any{map[string]any{
		"name": "c", "image": "c", "resources": map[string]any{"limits": map[string]string{"cpu": number}},
	}}
	return suite.Create(suite.PodsPath, suite.JSON(t, object))
}

// testStrictSlowNumbers sends a slow number that a rule compares with a limit.
func (h *hostile) testStrictSlowNumbers(t *testing.T) {
	for _, number := range []string{"an exponent of seven digits", "a small exponent"} {
		t.Run(number, func(t *testing.T) {
			body := insert(`{"status":{"capacity":{"cpu":"`+placeholder+`"}}}`, numbers()[number])
			h.attack(t, h.strict, suite.PatchNodeStatus(strictNode, body))
			_, after, err := h.administrator.Get(suite.Within(t, 2*time.Minute), suite.NodesPath+"/"+strictNode)
			suite.Check(t, err)
			if !strings.Contains(string(after), `"cpu":"8"`) {
				t.Error("the number was stored")
			}
		})
	}
}

// testStoredSlowNumber stores a slow number as an administrator, and makes an attack that does not change it.
func (h *hostile) testStoredSlowNumber(t *testing.T) {
	const store = `{"status":{"capacity":{"example.com/slow":` + placeholder + `}}}`
	set := func(number string) {
		t.Helper()
		if a := h.administrator.Do(suite.Within(t, 2*time.Minute), suite.PatchNodeStatus(node, insert(store, number))); a.Outcome != suite.Allowed {
			t.Fatal(a)
		}
	}
	set(`"` + numbers()["an exponent of five digits"] + `"`)
	mark := h.nextAddress()
	h.attack(t, h.kubelet, suite.PatchNodeStatus(node, suite.JSON(t, nodeChange(mark, "", "", ""))))
	h.checkNotStored(t, suite.NodesPath+"/"+node, mark)
	// Ordinary writes may fail: they cannot be evaluated in time.
	t.Logf("a heartbeat meanwhile: %s", h.kubelet.Do(suite.Within(t, 2*time.Minute), suite.Heartbeat(node, time.Now())))
	set("null")
	h.checkDenies(t)
}
