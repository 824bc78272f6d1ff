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

	mergepatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/suite"
)

// tryPod creates a pod on the node as a tenant, with a merge patch applied to it.
func (h *hostile) tryPod(t *testing.T, name, more string) suite.Answer {
	t.Helper()
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q},"spec":{"nodeName":%q,"containers":[%s],` +
		`"initContainers":[{"name":"i","image":"registry.example.com/i"}]}}`
	const container = `{"name":"c","image":"registry.example.com/c"}`
	body, err := mergepatch.MergePatch(fmt.Appendf(nil, pod, name, node, container), []byte(more))
	suite.Check(t, err)
	return h.administrator.Do(suite.Within(t, time.Minute), suite.Create(suite.PodsPath, string(body)))
}

// createPod is tryPod for a pod that must be created.
func (h *hostile) createPod(t *testing.T, name, more string) {
	t.Helper()
	if a := h.tryPod(t, name, more); a.Outcome != suite.Allowed {
		t.Fatalf("%.1000s", a)
	}
}

// uidOf returns the UID of an object.
func uidOf(t *testing.T, object []byte) string {
	t.Helper()
	var o metav1.PartialObjectMetadata
	suite.Check(t, json.Unmarshal(object, &o))
	if o.UID == "" {
		t.Fatalf("no UID: %.300q", object)
	}
	return string(o.UID)
}

// container returns a patch of a tenant's container with more members.
func container(more string) string {
	return `{"spec":{"containers":[{"name":"c","image":"registry.example.com/c"` + more + `}]}}`
}

// testTenants creates tenants' pods with large or unusual fields, and sends the writes of their kubelet. Only an attack must be
// denied.
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
		resources string // the kubelet copies them into the status
	}{
		{"plain", `{}`, `{}`},
		{"exponent", container(`,"resources":` + odd), odd},
		{"absurd", container(`,"resources":` + absurd), absurd},
		{"args", container(`,"args":[` + strings.Repeat(`"",`, 204_999) + `""]`), `{}`},
		{"labels", `{"metadata":{"labels":{` + many(`"example.com/l%d":"a"`, 3000) + `}}}`, `{}`},
		{"annotations", `{"metadata":{"annotations":{"a":"` + strings.Repeat("a", 200<<10) + `"}}}`, `{}`},
		{"many-annotations", `{"metadata":{"annotations":{` + many(`"example.com/a%d":""`, 9000) + `}}}`, `{}`},
	} {
		t.Run(test.name, func(t *testing.T) { h.testPodLife(t, "tenant-"+test.name, test.pod, test.resources) })
	}
}

// testPodLife creates a pod and sends the writes of its kubelet until the pod is gone.
func (h *hostile) testPodLife(t *testing.T, name, pod, resources string) {
	t.Helper()
	path := suite.PodsPath + "/" + name
	h.createPod(t, name, pod)
	_, stored, err := h.administrator.Get(suite.Within(t, time.Minute), path)
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
			Method: http.MethodPatch, Path: path + "/status", Type: suite.StrategicPatch, Body: string(suite.JSON(t, body)),
		}
	}
	must := func(what string, w *suite.Client, write suite.Request) {
		t.Helper()
		if a := w.Do(suite.Within(t, time.Minute), write); a.Outcome != suite.Allowed {
			t.Errorf("%s: %.1000s", what, a)
		}
	}
	const running, ended = `{"running":{}}`, `{"terminated":{"exitCode":0}}`
	must("the first status", h.kubelet, status(corev1.ConditionFalse, "10.244.1.7", "Running", running))
	must("a later status", h.kubelet, status(corev1.ConditionTrue, "10.244.1.7", "Running", running))
	must("another address", h.kubelet, status(corev1.ConditionTrue, "10.244.1.8", "Running", running))
	mark := h.nextAddress()
	if a := h.kubelet.Do(suite.Within(t, time.Minute), status(corev1.ConditionTrue, mark, "Running", running)); a.Outcome != suite.Denied {
		t.Errorf("an attack: %.1000s", a)
	}
	h.checkNotStored(t, path, mark)
	must("the tenant's deletion", h.administrator, suite.Delete(path, `{"gracePeriodSeconds":30}`))
	must("the last status", h.kubelet, status(corev1.ConditionFalse, "10.244.1.8", "Succeeded", ended))
	must("the kubelet's deletion", h.kubelet, suite.Delete(path,
		fmt.Sprintf(`{"gracePeriodSeconds":0,"preconditions":{"uid":%q}}`, uidOf(t, stored))))
}

// testTenantsSlowNumber creates tenants' pods with a quantity that the API server takes seconds to print. Every review of such a pod
// would time out, so the floor refuses the pod.
func (h *hostile) testTenantsSlowNumber(t *testing.T) {
	number := numbers()["an exponent of five digits"]
	for name, more := range map[string]string{
		"limit":  container(`,"resources":{"limits":{"cpu":"` + number + `"},"requests":{"cpu":"1"}}`),
		"volume": `{"spec":{"volumes":[{"name":"v","emptyDir":{"sizeLimit":"` + number + `"}}]}}`,
	} {
		a := h.tryPod(t, "tenant-slow-"+name, more)
		if a.Code != http.StatusForbidden || !strings.Contains(a.Text, "node-restriction-plus.pod-quantities") {
			t.Errorf("%s: %.500s", name, a)
		}
	}
}

// testAdministratorsExponent writes an extended resource as an administrator in a format that no kubelet prints and that the kubelet
// keeps.
func (h *hostile) testAdministratorsExponent(t *testing.T) {
	const store = `{"status":{"capacity":{"example.com/admin":%[1]s},"allocatable":{"example.com/admin":%[1]s}}}`
	set := func(value string) {
		t.Helper()
		a := h.administrator.Do(suite.Within(t, time.Minute), suite.PatchNodeStatus(node, fmt.Sprintf(store, value)))
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
	before := h.evaluations(t)
	for range 5 {
		beat()
	}
	if n := h.evaluations(t) - before; n != 0 {
		t.Errorf("the webhook was called for %g of 5 heartbeats", n)
	}
	h.checkDenies(t)
}

// evaluations returns how many writes the product has evaluated.
func (h *hostile) evaluations(t *testing.T) float64 {
	t.Helper()
	m, err := h.product.Metrics(t.Context())
	suite.Check(t, err)
	return m.Sum("node_restriction_plus_evaluations_total")
}

// testTokenDryRun requests a token of ten years in a dry run, in which an API server issues tokens, too.
func (h *hostile) testTokenDryRun(t *testing.T) {
	const account = "/api/v1/namespaces/default/serviceaccounts"
	a := h.administrator.Do(t.Context(), suite.Create(account, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"robot"}}`))
	if a.Outcome != suite.Allowed {
		t.Fatal(a)
	}
	h.createPod(t, "bound", `{"spec":{"serviceAccountName":"robot","volumes":[{"name":"t","projected":{"sources":`+
		`[{"serviceAccountToken":{"path":"token"}}]}}]}}`)
	_, pod, err := h.administrator.Get(t.Context(), suite.PodsPath+"/bound")
	suite.Check(t, err)
	ask := func(seconds int) suite.Answer {
		return h.kubelet.Do(suite.Within(t, time.Minute), suite.Request{
			Method: http.MethodPost, Path: account + "/robot/token", Type: suite.JSONType, DryRun: true,
			Body: fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":%d,`+
				`"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"bound","uid":%q}}}`, seconds, uidOf(t, pod)),
		})
	}
	// The Node authorizer notices the pod a moment later.
	suite.Check(t, h.product.Process().Await(suite.Within(t, time.Minute), func(context.Context) error {
		if a := ask(3600); a.Outcome != suite.Allowed {
			return fmt.Errorf("an ordinary token: %s", a)
		}
		return nil
	}))
	first, err := h.product.Records.Len()
	suite.Check(t, err)
	if a := ask(10 * 365 * 86400); a.Outcome != suite.Denied {
		t.Errorf("a token of ten years: %s", a)
	}
	records, err := h.product.Records.Since(first)
	suite.Check(t, err)
	if len(records) != 1 || records[0].Subresource != "token" || records[0].DryRun {
		t.Errorf("want one record that is not of a dry run, got %v", records)
	}
}
