// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/policy"
)

// managed is an entry of metadata.managedFields.
func managed(manager string, operation metav1.ManagedFieldsOperationType, second int64, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{
		Manager: manager, Operation: operation, APIVersion: "v1", Time: new(metav1.Unix(second, 0)),
		FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
	}
}

// TestOwnership checks which changes of metadata.managedFields are sent. A server-side apply differs from an update in the fieldManager of
// the request, or in the time of an entry.
func TestOwnership(t *testing.T) {
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	type entries = []metav1.ManagedFieldsEntry
	const two, one = `{"f:metadata":{"f:labels":{"f:a":{},"f:b":{}}}}`, `{"f:metadata":{"f:labels":{"f:a":{}}}}`
	subresource := managed("argocd", apply, 10, one)
	subresource.Subresource = "status"
	before := entries{managed("argocd", apply, 10, one), managed("kubelet", update, 20, two)}
	c := newCaller(t)
	for name, test := range map[string]struct {
		old, updated entries
		manager      string
		want         string
	}{
		"a heartbeat of a Node that nobody applies":    {before[1:], entries{managed("kubelet", update, 30, two)}, "", ""},
		"a heartbeat of a Node that somebody applies":  {before, entries{before[0], managed("kubelet", update, 30, two)}, "", ""},
		"the first update":                             {nil, entries{managed("kubelet", update, 30, two)}, "", ""},
		"an update by a kubelet with a name":           {before, entries{before[0], managed("kubelet", update, 30, two)}, "kubelet", ""},
		"nothing is managed any more":                  {before, nil, "", status},
		"an applied entry goes":                        {before, before[1:], "", status},
		"the first that is applied":                    {before[1:], before, "argocd", gate},
		"the first that is applied, of nothing":        {nil, before[:1], "argocd", gate},
		"another that is applied":                      {before, entries{before[0], managed("evil", apply, 30, one), before[1]}, "evil", gate},
		"another that sorts to the front":              {before, entries{managed("evil", apply, 5, one), before[0], before[1]}, "evil", gate},
		"the same is applied again":                    {before, entries{managed("argocd", apply, 30, one), before[1]}, "argocd", gate},
		"more is applied within the second":            {before, entries{managed("argocd", apply, 10, two), before[1]}, "argocd", gate},
		"it is applied in another version":             {before, entries{withVersion(before[0], "v2"), before[1]}, "", gate},
		"it is applied to a subresource":               {before, entries{before[0], subresource, before[1]}, "", gate},
		"the same is applied by an update's name":      {before, entries{managed("kubelet", apply, 20, two), before[0], before[1]}, "", gate},
		"an update takes over a field that is applied": {entries{managed("argocd", apply, 10, two)}, before, "", status},
	} {
		for kind, write := range map[string]policy.Request{
			"node": updateNode("status", func(*corev1.Node) {}),
			"pod":  updatePod("default", "a", func(*corev1.Pod) {}),
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				for _, unstructured := range []bool{false, true} {
					c.unstructured = unstructured
					attributes := c.attributesWith(kubelet, withManaged(write, test.old, test.updated),
						&metav1.PatchOptions{FieldManager: test.manager})
					if called, failed := c.match(attributes); len(failed) > 0 || !equalTo(called, test.want) {
						t.Errorf("called are %v, failed %v, want %q", called, failed, test.want)
					}
				}
			})
		}
	}
	c.unstructured = false
	write := withManaged(updateNode("status", func(*corev1.Node) {}), before, before)
	write.Operation = admissionv1.Update
	checkCalls(t, c, kubelet, write, "") // without options
}

func withVersion(e metav1.ManagedFieldsEntry, version string) metav1.ManagedFieldsEntry {
	e.APIVersion = version
	return e
}

func equalTo(called []string, want string) bool {
	return want == "" && len(called) == 0 || len(called) == 1 && called[0] == want
}

// withManaged has the objects of the write managed, the old one and the new one.
func withManaged(r policy.Request, old, updated []metav1.ManagedFieldsEntry) policy.Request {
	r.OldObject, r.Object = setManaged(r.OldObject, old), setManaged(r.Object, updated)
	return r
}

func setManaged(object []byte, entries []metav1.ManagedFieldsEntry) []byte {
	var fields map[string]any
	if err := json.Unmarshal(object, &fields); err != nil {
		panic(err)
	}
	if entries != nil {
		fields["metadata"].(map[string]any)["managedFields"] = entries
	}
	return mustMarshal(fields)
}
