// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/product"
)

const (
	owned = "owned" // the Node, and the pod on it
	// keptLabel is a label that no kubelet may set, and may apply unchanged all the same.
	keptLabel = "node-restriction.kubernetes.io/pool"
)

// testOwnership shows that a kubelet cannot become an owner of what it does not change, by server-side apply or by an edit of
// managedFields, so that an administrator who no longer applies something removes it.
func (s *duo) testOwnership(t *testing.T) {
	s.denyOwnership(t)
	s.createNode(t, owned)
	config, err := s.stock.Kubelet(owned)
	kubelet := newCaller(t, config, err)
	config, err = s.open.Admin()
	admin := newCaller(t, config, err)
	nodes, pods := "/api/v1/nodes/"+owned, "/api/v1/namespaces/default/pods/"+owned
	admin.must(t, forceApply(nodes, "administrator", appliedNode(
		`"labels":{"`+keptLabel+`":"pci"},"annotations":{"example.com/note":"a"}`,
		`,"spec":{"taints":[{"key":"example.com/dedicated","effect":"NoSchedule"}]}`)))
	spec := `,"spec":{"nodeName":"` + owned + `","containers":[{"name":"c","image":"` + stays + `"}]}`
	admin.must(t, forceApply(pods, "administrator", appliedPod(`"labels":{"app":"shop"},`, spec)))

	s.deny(t, kubelet, owned, slices.Concat(appliesNode(nodes), editsNode(t, nodes, s.getNode(t, owned)), appliesPod(pods)))
	s.deny(t, kubelet, owned, appliesMirrorPod(t, s.getNode(t, owned)))
	const newcomer = "owned-newcomer"
	config, err = s.stock.Kubelet(newcomer)
	s.deny(t, newCaller(t, config, err), newcomer, registersApplied(newcomer))

	t.Run("through a subresource an edit has no effect", func(t *testing.T) {
		before := entriesOf(t, s.getNode(t, owned))
		kubelet.must(t, patchStatus(owned, `{"metadata":{"managedFields":[{}]}}`))
		if after := entriesOf(t, s.getNode(t, owned)); after != before {
			t.Errorf("got %s, want %s", after, before)
		}
	})
	t.Run("heartbeats pass and are not sent", func(t *testing.T) { s.testOwnedHeartbeats(t, kubelet) })
	t.Run("what is no longer applied goes", func(t *testing.T) {
		admin.must(t, forceApply(nodes, "administrator", appliedNode("", "")))
		admin.must(t, forceApply(pods, "administrator", appliedPod("", spec)))
		node := s.getNode(t, owned)
		if _, kept := node.Labels[keptLabel]; kept || len(node.Annotations) > 0 || hasTaint(node, "example.com/dedicated") {
			t.Errorf("still there: %v %v %v", node.Labels, node.Annotations, node.Spec.Taints)
		}
		pod, err := s.admin.CoreV1().Pods(metav1.NamespaceDefault).Get(t.Context(), owned, metav1.GetOptions{})
		check(t, err)
		if len(pod.Labels) > 0 {
			t.Errorf("still there: %v", pod.Labels)
		}
	})
}

func (s *suite) denyOwnership(t *testing.T) {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Name = "ownership"
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{owned, owned + "-*"}}
	p.Spec.Nodes.ManagedFields = &v1alpha1.NodeManagedFields{}
	p.Spec.MirrorPods.ManagedFields = &v1alpha1.MirrorPodManagedFields{}
	p.Spec.Pods.ManagedFields = &v1alpha1.PodManagedFields{}
	check(t, product.Enforce(t.Context(), s.policies, p))
	t.Cleanup(func() { check(t, s.policies.Delete(context.WithoutCancel(t.Context()), p)) })
}

// testOwnedHeartbeats writes conditions as a kubelet does: first all of it, which takes them over, and then times only.
func (s *suite) testOwnedHeartbeats(t *testing.T, kubelet caller) {
	beat := func(minute string) {
		kubelet.must(t, strategic(patchStatus(owned, `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady",`+
			`"message":"","lastHeartbeatTime":"2026-11-24T08:`+minute+`:00Z","lastTransitionTime":"2026-11-24T08:00:00Z"}]}}`)))
	}
	beat("00")
	asked := s.evaluations(t)
	for _, minute := range []string{"05", "10", "15"} {
		beat(minute)
	}
	if now := s.evaluations(t); now != asked {
		t.Errorf("we were asked %g times", now-asked)
	}
}

// forceApply is a server-side apply with force.
func forceApply(path, manager, object string) call {
	return call{
		method: http.MethodPatch, path: path, contentType: mediaApply, body: []byte(object),
		query: url.Values{"fieldManager": {manager}, "force": {"true"}},
	}
}

func appliedNode(metadata, rest string) string { return appliedAs(owned, metadata, rest) }

func appliedAs(name, metadata, rest string) string {
	if metadata != "" {
		metadata = "," + metadata
	}
	return `{"apiVersion":"v1","kind":"Node","metadata":{"name":"` + name + `"` + metadata + `}` + rest + `}`
}

func appliedPod(labels, rest string) string {
	if rest == "" {
		rest = `,"spec":{"containers":[{"name":"c","image":"` + stays + `"}]}`
	}
	return `{"apiVersion":"v1","kind":"Pod","metadata":{` + labels + `"name":"` + owned + `","namespace":"default"}` + rest + `}`
}

// appliesNode are server-side applies of what the Node has already.
func appliesNode(path string) []attack {
	labels := appliedNode(`"labels":{"`+keptLabel+`":"pci"}`, "")
	annotations := appliedNode(`"annotations":{"example.com/note":"a"}`, "")
	return []attack{
		{"applies labels", forceApply(path, "evil", labels)},
		{"applies labels through the status", forceApply(path+"/status", "evil", labels)},
		{"applies annotations", forceApply(path, "evil", annotations)},
		{"applies annotations through the status", forceApply(path+"/status", "evil", annotations)},
		{"applies taints", forceApply(path, "evil", appliedNode("",
			`,"spec":{"taints":[{"key":"example.com/dedicated","effect":"NoSchedule"}]}`))},
		{"applies its status", forceApply(path+"/status", "evil", appliedNode("",
			`,"status":{"conditions":[{"type":"Ready","status":"True"}]}`))},
	}
}

// editsNode are writes of managedFields.
func editsNode(t *testing.T, path string, node *corev1.Node) []attack {
	t.Helper()
	edit := func(entries []metav1.ManagedFieldsEntry) call {
		return call{
			method: http.MethodPatch, path: path, contentType: mediaMergePatch,
			body: toJSON(t, map[string]any{"metadata": map[string]any{"managedFields": entries}}),
		}
	}
	byAdministrator := func(e metav1.ManagedFieldsEntry) bool { return e.Manager == "administrator" }
	others := slices.DeleteFunc(slices.Clone(node.ManagedFields), byAdministrator)
	i := slices.IndexFunc(node.ManagedFields, byAdministrator)
	if i < 0 {
		t.Fatalf("the administrator owns nothing: %s", entriesOf(t, node))
	}
	renamed := node.ManagedFields[i]
	renamed.Manager = "evil"
	claim := metav1.ManagedFieldsEntry{
		Manager: "evil", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:` + keptLabel + `":{}}}}`),
	}
	return []attack{
		{"empties managedFields", edit([]metav1.ManagedFieldsEntry{{}})},
		{"claims a label", edit(append(slices.Clone(node.ManagedFields), claim))},
		{"takes the place of the owner", edit(append(slices.Clone(others), renamed))},
	}
}

func appliesPod(path string) []attack {
	return []attack{
		{"applies a pod's labels", forceApply(path+"/status", "evil", appliedPod(`"labels":{"app":"shop"},`, `,"spec":{}`))},
		{"applies a pod's status", forceApply(path+"/status", "evil", appliedPod("", `,"status":{"message":"m"}`))},
	}
}

func appliesMirrorPod(t *testing.T, node *corev1.Node) []attack {
	t.Helper()
	pod := map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{
			"name": "applied-" + owned,
			"annotations": map[string]string{
				corev1.MirrorPodAnnotationKey: "1", "kubernetes.io/config.hash": "1", "kubernetes.io/config.source": "file",
			},
			"ownerReferences": []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: new(true),
			}},
			"managedFields": json.RawMessage(appliedEntry),
		},
		"spec": map[string]any{"nodeName": owned, "containers": []map[string]string{{"name": "c", "image": stays}}},
	}
	return []attack{{"creates a mirror pod that seems applied", call{
		method: http.MethodPost, path: "/api/v1/namespaces/default/pods", contentType: mediaJSON, body: toJSON(t, pod),
	}}}
}

const appliedEntry = `[{"manager":"administrator","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1",` +
	`"fieldsV1":{"f:metadata":{"f:annotations":{"f:example.com/note":{}}}}}]`

func registersApplied(name string) []attack {
	// The API server takes from the entries sent what the object itself has: only a claim on a missing field survives.
	object := appliedAs(name, `"managedFields":`+appliedEntry, "")
	return []attack{
		{"registers as if applied", call{method: http.MethodPost, path: "/api/v1/nodes", contentType: mediaJSON, body: []byte(object)}},
		{"registers by server-side apply", forceApply("/api/v1/nodes/"+name, "evil",
			appliedAs(name, `"annotations":{"example.com/note":"a"}`, ""))},
	}
}

func entriesOf(t *testing.T, node *corev1.Node) string {
	t.Helper()
	var managers []string
	for _, e := range node.ManagedFields {
		managers = append(managers, strings.Join([]string{e.Manager, string(e.Operation), e.Subresource, e.FieldsV1.GetRawString()}, " "))
	}
	return strings.Join(managers, "\n")
}

func hasTaint(node *corev1.Node, key string) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == key })
}
