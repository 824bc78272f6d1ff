// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

// world is a cluster with Nodes, pods and clients. Each write of a client is an event of its audit log, and each write of a kubelet a request
// as the webhook would have been sent it.
type world struct {
	t       *testing.T
	random  *rand.Rand
	clock   time.Time
	version int
	uid     int
	objects map[string][]byte // by resource/namespace/name
	events  []event
	truth   map[string]*policy.Request // by audit ID
	// hasAgents says that node agents write as well.
	hasAgents bool
}

// event is an audit event at level RequestResponse, and which API server has logged it.
type event struct {
	fields map[string]any
	server int
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	return &world{
		t: t, random: rand.New(rand.NewPCG(seed, 1)),
		clock: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC), version: 100, objects: map[string][]byte{}, truth: map[string]*policy.Request{},
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) chance(of int) bool { return w.random.IntN(of) == 0 }

func pick[T any](w *world, from ...T) T { return from[w.random.IntN(len(from))] }

// sent is a request to an API server.
type sent struct {
	user            string
	verb            string // create, update, strategic, merge, json or delete
	resource, sub   string
	namespace, name string
	body            any
	dryRun          bool
	refused         bool
	// nodes are those that the extra of a service account names.
	nodes []string
}

// encode encodes an object as an API server does.
func (w *world) encode(resource string, data []byte) []byte {
	w.t.Helper()
	var into any = &corev1.Pod{}
	switch resource {
	case "nodes":
		into = &corev1.Node{}
	case slicesResource:
		into = &map[string]any{}
	}
	w.must(json.Unmarshal(data, into))
	encoded, err := json.Marshal(into)
	w.must(err)
	return encoded
}

func (w *world) set(object []byte, value any, path ...string) []byte {
	w.t.Helper()
	var root map[string]any
	w.must(json.Unmarshal(object, &root))
	at := root
	for _, name := range path[:len(path)-1] {
		next, is := at[name].(map[string]any)
		if !is {
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	if value == nil {
		delete(at, path[len(path)-1])
	} else {
		at[path[len(path)-1]] = value
	}
	encoded, err := json.Marshal(root)
	w.must(err)
	return encoded
}

func get(object []byte, path ...string) any {
	var at any
	if json.Unmarshal(object, &at) != nil {
		return nil
	}
	for _, name := range path {
		fields, is := at.(map[string]any)
		if !is {
			return nil
		}
		at = fields[name]
	}
	return at
}

// send stores a request, and logs it.
func (w *world) send(s sent) {
	w.t.Helper()
	w.clock = w.clock.Add(time.Duration(100+w.random.IntN(4000)) * time.Millisecond)
	at := s.resource + "/" + s.namespace + "/" + s.name
	old := w.objects[at]
	if s.verb != "create" && old == nil {
		return
	}
	body, err := json.Marshal(s.body)
	w.must(err)
	updated := w.result(&s, old, body)
	if updated == nil && s.verb != "delete" && s.sub != "eviction" {
		return // the API server refuses it as invalid
	}
	changed := s.verb == "create" || s.verb == "delete" || updated == nil || string(updated) != string(old)
	stored := updated
	if changed && !s.dryRun && !s.refused {
		w.version++
		if updated != nil {
			stored = w.encode(s.resource, w.set(updated, strconv.Itoa(w.version), "metadata", "resourceVersion"))
		}
	}
	w.log(&s, old, updated, stored, body)
	if s.dryRun || s.refused {
		return
	}
	switch {
	case s.verb == "delete":
		w.delete(&s, at, old)
	case s.sub == "eviction":
		w.objects[at] = w.deleting(at, 30)
	default:
		w.objects[at] = stored
	}
}

// result returns the object after a request, without a new version.
func (w *world) result(s *sent, old, body []byte) []byte {
	w.t.Helper()
	var data []byte
	var err error
	switch s.verb {
	case "create":
		if s.sub == "eviction" {
			return nil
		}
		if s.sub == "binding" {
			bound := w.set(old, get(body, "target", "name"), "spec", "nodeName")
			return w.encode("pods", bound)
		}
		w.uid++
		data = w.set(body, fmt.Sprintf("uid-%d", w.uid), "metadata", "uid")
		data = w.set(data, w.clock.Format(time.RFC3339), "metadata", "creationTimestamp")
		data = w.set(data, []any{map[string]any{
			"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": "2026-11-20T08:00:00Z", "fieldsType": "FieldsV1",
			"fieldsV1": map[string]any{"f:status": map[string]any{"f:phase": map[string]any{}}},
		}}, "metadata", "managedFields")
		return w.encode(s.resource, data)
	case "delete":
		return nil
	case "update":
		data = w.set(body, get(old, "metadata", "uid"), "metadata", "uid")
		if s.resource == slicesResource {
			return w.set(data, get(old, "metadata", "resourceVersion"), "metadata", "resourceVersion")
		}
	case "strategic":
		data, err = strategicpatch.StrategicMergePatch(old, body, map[string]any{"nodes": corev1.Node{}, "pods": corev1.Pod{}}[s.resource])
	case "merge":
		data, err = jsonpatch.MergePatch(old, body)
	case "json":
		var patch jsonpatch.Patch
		if patch, err = jsonpatch.DecodePatch(body); err == nil {
			data, err = patch.Apply(old)
		}
	}
	if err != nil {
		return nil
	}
	// What a subresource, or the resource itself, does not write.
	kept := "spec"
	if s.sub == "" {
		kept = "status"
	}
	data = w.set(data, get(old, kept), kept)
	for _, fixed := range []string{"resourceVersion", "uid", "name", "creationTimestamp", "deletionTimestamp"} {
		data = w.set(data, get(old, "metadata", fixed), "metadata", fixed)
	}
	return w.encode(s.resource, data)
}

// deleting returns a pod that is being deleted.
func (w *world) deleting(at string, grace int) []byte {
	if get(w.objects[at], "metadata", "deletionTimestamp") != nil && grace > 0 {
		return w.objects[at]
	}
	object := w.set(w.objects[at], w.clock.Add(time.Duration(grace)*time.Second).Format(time.RFC3339), "metadata", "deletionTimestamp")
	object = w.set(object, grace, "metadata", "deletionGracePeriodSeconds")
	return w.encode("pods", w.set(object, strconv.Itoa(w.version), "metadata", "resourceVersion"))
}

func (w *world) delete(s *sent, at string, old []byte) {
	grace := get(mustMarshal(s.body), "gracePeriodSeconds")
	if s.resource != "pods" || grace == float64(0) || get(old, "spec", "nodeName") == nil {
		delete(w.objects, at)
		return
	}
	w.objects[at] = w.deleting(at, 30)
}

func mustMarshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func mustUnmarshal(data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		panic(err)
	}
}

// log adds the event of a request, and for a kubelet's what the webhook would have been sent.
func (w *world) log(s *sent, old, updated, stored, body []byte) {
	id := fmt.Sprintf("id-%d", len(w.events))
	verb, code, operation := s.verb, 200, admissionv1.Update
	switch s.verb {
	case "strategic", "merge", "json":
		verb = "patch"
	case "create":
		code, operation = 201, admissionv1.Create
	case "delete":
		operation = admissionv1.Delete
	}
	uri := "/api/v1/" + s.resource + "/" + s.name // of whichever group: nobody reads it
	if s.dryRun {
		uri += "?dryRun=All"
	}
	answer := stored
	if s.verb == "delete" && s.resource == "pods" {
		w.objects[" "] = old
		grace := 30
		if get(body, "gracePeriodSeconds") == float64(0) {
			grace = 0
		}
		answer = w.deleting(" ", grace)
		delete(w.objects, " ")
	}
	if s.resource == slicesResource && s.verb == "delete" && w.chance(2) {
		answer = old // with a finalizer
	}
	if answer == nil || s.sub == "eviction" || s.sub == "binding" || s.refused {
		answer = []byte(`{"kind":"Status","apiVersion":"v1","status":"Success"}`)
	} else {
		answer = w.set(answer, map[string]string{"nodes": "Node", "pods": "Pod", slicesResource: "ResourceSlice"}[s.resource], "kind")
	}
	if s.refused {
		code = 403
	}
	resource, group, _ := strings.Cut(s.resource, ".")
	ref := map[string]any{"resource": resource, "apiGroup": group, "name": s.name, "apiVersion": "v1"}
	if s.namespace != "" {
		ref["namespace"] = s.namespace
	}
	if s.sub != "" {
		ref["subresource"] = s.sub
	}
	user := map[string]any{"username": s.user, "groups": []string{"system:authenticated"}}
	node, isKubelet := strings.CutPrefix(s.user, "system:node:")
	if isKubelet {
		user["groups"] = []string{"system:nodes", "system:authenticated"}
	}
	if len(s.nodes) > 0 {
		user["extra"] = map[string]any{nodeNameExtra: s.nodes}
	}
	if s.verb == "update" {
		ref["resourceVersion"] = get(body, "metadata", "resourceVersion")
	}
	w.events = append(w.events, event{server: w.random.IntN(2), fields: map[string]any{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": id, "stage": "ResponseComplete",
		"requestURI": uri, "verb": verb, "user": user, "objectRef": ref, "responseStatus": map[string]any{"code": code},
		"requestObject": json.RawMessage(body), "responseObject": json.RawMessage(answer),
		"requestReceivedTimestamp": w.clock, "stageTimestamp": w.clock.Add(3 * time.Millisecond),
	}})
	if !isKubelet && s.user != controller && !strings.HasPrefix(s.user, ovn) || s.refused {
		return
	}
	r := &policy.Request{NodeName: node, InNodesGroup: true, User: review.UserOf(node), Facts: policy.StaticFacts{}, Write: policy.Write{
		Operation: operation, Resource: s.resource, Version: "v1", Subresource: s.sub, Namespace: s.namespace, Name: s.name, DryRun: s.dryRun,
		Object: updated,
	}}
	if !isKubelet {
		r.InNodesGroup, r.User = false, authenticationv1.UserInfo{Username: s.user}
		if len(s.nodes) > 0 {
			r.User.Extra = map[string]authenticationv1.ExtraValue{nodeNameExtra: s.nodes}
		}
		id, _ := review.SubjectOf(r.User)
		r.Subject, r.NodeName = id.Subject, id.Node
	}
	if s.sub == "eviction" {
		r.Object = body
	}
	if operation != admissionv1.Create {
		r.OldObject = old
	}
	if operation == admissionv1.Delete {
		r.Options, r.Object = body, nil
	}
	w.truth[id] = r
}

// pods returns the pods of a node, or of all nodes.
func (w *world) pods(node string) []string {
	var names []string
	for _, at := range slices.Sorted(maps.Keys(w.objects)) {
		name, is := strings.CutPrefix(at, "pods/default/")
		if on, _ := get(w.objects[at], "spec", "nodeName").(string); is && (node == "" || on == node) {
			names = append(names, name)
		}
	}
	return names
}
