// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mergepatch "gopkg.in/evanphx/json-patch.v4"

	"noderestriction.plus/e2e/cluster"
)

// tryPod has a tenant create a pod on the node, which is merged with more.
func (h *hostile) tryPod(t *testing.T, name, more string) suite.Answer {
	t.Helper()
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q},"spec":{"nodeName":%q,"containers":[%s],` +
		`"initContainers":[{"name":"i","image":"registry.example.com/i"}]}}`
	const container = `{"name":"c","image":"registry.example.com/c"}`
	body, err := mergepatch.MergePatch(fmt.Appendf(nil, pod, name, node, container), []byte(more))
	suite.Check(t, err)
	return h.admin.Do(suite.Within(t, time.Minute), suite.Request{
		Method: http.MethodPost, Path: podsPath, Type: "application/json", Body: string(body),
	})
}

// createPod creates a pod on the node, as a tenant whose pod the scheduler has placed there. More is merged into it.
func (h *hostile) createPod(t *testing.T, name, more string) {
	t.Helper()
	if a := h.tryPod(t, name, more); a.Outcome != suite.Allowed {
		t.Fatalf("%.1000s", a)
	}
}

// uidOf is the UID of an object.
func uidOf(t *testing.T, object []byte) string {
	t.Helper()
	var o metav1.PartialObjectMetadata
	suite.Check(t, json.Unmarshal(object, &o))
	if o.UID == "" {
		t.Fatalf("no UID: %.300q", object)
	}
	return string(o.UID)
}

// container is a container of a tenant, with something more in it.
func container(more string) string {
	return `{"spec":{"containers":[{"name":"c","image":"registry.example.com/c"` + more + `}]}}`
}

// testTenants has tenants create pods of which something is large or odd, and their kubelet live through their lives. It is denied
// nothing, but for an attack.
func (h *hostile) testTenants(t *testing.T) {
	const odd = `{"requests":{"cpu":"1e3"},"limits":{"cpu":"1e3"}}`
	const absurd = `{"requests":{"cpu":"1"},"limits":{"cpu":"1e60"}}`
	many := func(format string, n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(format, i))
		}
		return strings.Join(all, ",")
	}
	for _, test := range []struct {
		name, pod string
		resources string // which the kubelet copies into the status
	}{
		{"plain", `{}`, `{}`},
		{"exponent", container(`,"resources":` + odd), odd},
		{"absurd", container(`,"resources":` + absurd), absurd},
		{"args", container(`,"args":[` + strings.Repeat(`"",`, 204_999) + `""]`), `{}`},
		{"labels", `{"metadata":{"labels":{` + many(`"example.com/l%d":"a"`, 3000) + `}}}`, `{}`},
		{"annotations", `{"metadata":{"annotations":{"a":"` + strings.Repeat("a", 200<<10) + `"}}}`, `{}`},
		{"many-annotations", `{"metadata":{"annotations":{` + many(`"example.com/a%d":""`, 9000) + `}}}`, `{}`},
	} {
		t.Run(test.name, func(t *testing.T) { h.liveThrough(t, "tenant-"+test.name, test.pod, test.resources) })
	}
}

// liveThrough creates a pod and makes the writes of its kubelet until it is gone.
func (h *hostile) liveThrough(t *testing.T, name, pod, resources string) {
	t.Helper()
	path := podsPath + "/" + name
	h.createPod(t, name, pod)
	_, stored, err := h.admin.Get(suite.Within(t, time.Minute), path)
	suite.Check(t, err)
	status := func(ready corev1.ConditionStatus, ip, phase, state string) suite.Request {
		var r corev1.ResourceRequirements
		suite.Check(t, json.Unmarshal([]byte(resources), &r))
		body := map[string]any{"status": map[string]any{
			"phase": phase, "podIP": ip, "podIPs": []any{map[string]any{"$patch": "replace"}, map[string]any{"ip": ip}},
			"conditions": []any{map[string]any{"type": "Ready", "status": ready}},
			"containerStatuses": []any{map[string]any{
				"name": "c", "image": "registry.example.com/c", "imageID": "", "restartCount": 0,
				"ready": ready == corev1.ConditionTrue, "state": json.RawMessage(state),
				"allocatedResources": r.Requests, "resources": json.RawMessage(resources),
			}},
		}}
		return suite.Request{
			Method: http.MethodPatch, Path: path + "/status", Type: "application/strategic-merge-patch+json", Body: toJSON(t, body),
		}
	}
	must := func(what string, w *suite.Client, write suite.Request) {
		t.Helper()
		if a := w.Do(suite.Within(t, time.Minute), write); a.Outcome != suite.Allowed {
			t.Errorf("%s was %.1000s", what, a)
		}
	}
	const running, ended = `{"running":{}}`, `{"terminated":{"exitCode":0}}`
	must("the first status", h.kubelet, status(corev1.ConditionFalse, "10.244.1.7", "Running", running))
	must("a later status", h.kubelet, status(corev1.ConditionTrue, "10.244.1.7", "Running", running))
	must("another address", h.kubelet, status(corev1.ConditionTrue, "10.244.1.8", "Running", running))
	mark := h.nextAddress()
	if a := h.kubelet.Do(suite.Within(t, time.Minute), status(corev1.ConditionTrue, mark, "Running", running)); a.Outcome != suite.Denied {
		t.Errorf("an attack was %.1000s", a)
	}
	h.checkNotStored(t, path, mark)
	must("the tenant's deletion", h.admin, suite.Request{
		Method: http.MethodDelete, Path: path, Type: "application/json", Body: `{"gracePeriodSeconds":30}`,
	})
	must("the last status", h.kubelet, status(corev1.ConditionFalse, "10.244.1.8", "Succeeded", ended))
	must("the kubelet's deletion", h.kubelet, suite.Request{
		Method: http.MethodDelete, Path: path, Type: "application/json",
		Body: fmt.Sprintf(`{"gracePeriodSeconds":0,"preconditions":{"uid":%q}}`, uidOf(t, stored)),
	})
}

// testTenantsSlowNumber has a tenant create pods with a quantity that the API server takes seconds to print. The time for every review
// of such a pod would run out while it is printed, so the floor refuses the pod.
func (h *hostile) testTenantsSlowNumber(t *testing.T) {
	number := numbers()["an exponent of five digits"]
	for name, more := range map[string]string{
		"limit":  container(`,"resources":{"limits":{"cpu":"` + number + `"},"requests":{"cpu":"1"}}`),
		"volume": `{"spec":{"volumes":[{"name":"v","emptyDir":{"sizeLimit":"` + number + `"}}]}}`,
	} {
		a := h.tryPod(t, "tenant-slow-"+name, more)
		if a.Code != http.StatusForbidden || !strings.Contains(a.Text, "node-restriction-plus.pod-quantities") {
			t.Errorf("%s: the pod was %.500s", name, a)
		}
	}
}

// testAdministratorsExponent has an administrator write an extended resource that no kubelet would print so, which the kubelet
// keeps.
func (h *hostile) testAdministratorsExponent(t *testing.T) {
	const store = `{"status":{"capacity":{"example.com/admin":%[1]s},"allocatable":{"example.com/admin":%[1]s}}}`
	set := func(value string) {
		t.Helper()
		a := h.admin.Do(suite.Within(t, time.Minute), suite.PatchNodeStatus(node, fmt.Sprintf(store, value)))
		if a.Outcome != suite.Allowed {
			t.Fatal(a)
		}
	}
	set(`"1e3"`)
	defer set("null")
	beat := func() {
		t.Helper()
		if a := h.kubelet.Do(t.Context(), suite.Heartbeat(node, time.Now())); a.Outcome != suite.Allowed {
			t.Errorf("a heartbeat was %s", a)
		}
	}
	beat()
	asked := h.evaluations(t)
	for range 5 {
		beat()
	}
	if n := h.evaluations(t) - asked; n != 0 {
		t.Errorf("%g of 5 heartbeats were sent", n)
	}
	h.checkDenies(t)
}

// evaluations is how many writes the product has judged.
func (h *hostile) evaluations(t *testing.T) float64 {
	t.Helper()
	m, err := h.product.Metrics(t.Context())
	suite.Check(t, err)
	return m.Sum("node_restriction_plus_evaluations_total")
}

// testTokenDryRun asks for a token of years in a dry run, in which an API server issues it.
func (h *hostile) testTokenDryRun(t *testing.T) {
	const account = "/api/v1/namespaces/default/serviceaccounts"
	a := h.admin.Do(t.Context(), suite.Request{
		Method: http.MethodPost, Path: account, Type: "application/json",
		Body: `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"robot"}}`,
	})
	if a.Outcome != suite.Allowed {
		t.Fatal(a)
	}
	h.createPod(t, "bound", `{"spec":{"serviceAccountName":"robot","volumes":[{"name":"t","projected":{"sources":`+
		`[{"serviceAccountToken":{"path":"token"}}]}}]}}`)
	_, pod, err := h.admin.Get(t.Context(), podsPath+"/bound")
	suite.Check(t, err)
	ask := func(seconds int) suite.Answer {
		return h.kubelet.Do(suite.Within(t, time.Minute), suite.Request{
			Method: http.MethodPost, Path: account + "/robot/token", Type: "application/json", DryRun: true,
			Body: fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":%d,`+
				`"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"bound","uid":%q}}}`, seconds, uidOf(t, pod)),
		})
	}
	// The Node authorizer learns of the pod a moment later.
	suite.Check(t, h.product.Process().Await(suite.Within(t, time.Minute), func(context.Context) error {
		if a := ask(3600); a.Outcome != suite.Allowed {
			return fmt.Errorf("an ordinary token was %s", a)
		}
		return nil
	}))
	first, err := h.product.Records.Len()
	suite.Check(t, err)
	if a := ask(10 * 365 * 86400); a.Outcome != suite.Denied {
		t.Errorf("a token of ten years was %s", a)
	}
	records, err := h.product.Records.Since(first)
	suite.Check(t, err)
	if len(records) != 1 || records[0].Subresource != "token" || records[0].DryRun {
		t.Errorf("want one record that is of no dry run, got %v", records)
	}
}
