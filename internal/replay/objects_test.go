// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"noderestriction.plus/internal/auditlog"
)

// large returns a Node or a pod whose values do not compress.
func large(t *testing.T, kind string) *whole {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) map[string]string {
		values := map[string]string{}
		for i := range n {
			values[fmt.Sprint(i)] = fmt.Sprintf("%x%x", random.Uint64(), random.Uint64())
		}
		return values
	}
	data, err := json.Marshal(map[string]any{
		"kind": kind, "metadata": map[string]any{"name": "a", "uid": "u", "labels": noise(3), "annotations": noise(1000)},
		"spec": map[string]any{"nodeName": "n"}, "status": map[string]any{"phase": "Running", "images": noise(1000), "conditions": noise(1000)},
	})
	if err != nil {
		t.Fatal(err)
	}
	w, err := splitWhole(data)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestObjectsAreKeptInLittleMemory(t *testing.T) {
	t.Parallel()
	o := newObjects(0)
	for _, test := range []struct {
		kind, resource string
		limit          int
	}{{"Node", "nodes", maxNode}, {"Pod", "pods", maxPod}} {
		w := large(t, test.kind)
		tracked := o.remember(w, key{resource: test.resource, name: "a"})
		if n := len(tracked.encoded); n > test.limit {
			t.Errorf("%s: %d bytes, want at most %d", test.kind, n, test.limit)
		}
		kept := map[partName]bool{}
		for _, m := range o.parts(tracked) {
			kept[m.partName] = m.kept
			if value := w.value(m.section, m.name); m.kept && string(m.value) != string(value) || m.sum != o.sum(value) {
				t.Errorf("%s: %s: not as it was", test.kind, m)
			}
		}
		if !kept[partName{"metadata", "labels"}] || !kept[partName{"status", "phase"}] || kept[partName{"status", "images"}] {
			t.Errorf("%s: kept %v", test.kind, kept)
		}
	}
}

func TestDeletedObjectsAreForgotten(t *testing.T) {
	t.Parallel()
	r, err := New(&Options{}, func(*Write) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	send := func(second int, verb, kind, resource, metadata string) {
		at := time.Date(2026, 11, 20, 8, 0, second, 0, time.UTC)
		if err := r.Add(&auditlog.Event{
			Verb: verb, Stage: auditlog.ResponseComplete, User: auditlog.User{Username: "admin"}, Received: at, Logged: at,
			ObjectRef: auditlog.ObjectRef{Resource: resource, Name: "a"}, ResponseStatus: auditlog.Status{Code: 200},
			ResponseObject: []byte(`{"kind":"` + kind + `","metadata":{"name":"a","uid":"u"` + metadata + `}}`),
		}); err != nil {
			t.Fatal(err)
		}
	}
	send(1, "create", "Node", "nodes", `,"resourceVersion":"1"`)
	send(2, "create", "Pod", "pods", `,"resourceVersion":"2"`)
	send(3, "delete", "Pod", "pods", `,"resourceVersion":"3","deletionTimestamp":"2026-11-20T08:00:30Z","deletionGracePeriodSeconds":30`)
	if err := r.Finish(); err != nil || len(r.objects.latest) != 2 {
		t.Errorf("%d objects are known (%v), want 2: the pod still runs", len(r.objects.latest), err)
	}
	send(4, "delete", "Pod", "pods", `,"resourceVersion":"4","deletionTimestamp":"2026-11-20T08:00:04Z","deletionGracePeriodSeconds":0`)
	send(5, "delete", "Node", "nodes", `,"resourceVersion":"5"`)
	if err := r.Finish(); err != nil || len(r.objects.latest)+len(r.objects.recent) != 0 {
		t.Errorf("%d objects are known (%v), want none", len(r.objects.latest), err)
	}
}
