// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

const (
	image = kubelet.Stays
	owned = "owned" // the Node, and the pod on it
	// keptLabel is a label that no kubelet may set, but that it may apply unchanged.
	keptLabel = "node-restriction.kubernetes.io/pool"
)

// testOwnership shows that a kubelet cannot become an owner of a field that it does not change, by server-side apply or by an edit of
// managedFields: an administrator who no longer applies a field removes it.
func (s *pair) testOwnership(t *testing.T) {
	s.denyOwnership(t)
	s.CreateNode(t, owned)
	kubelet := suite.Kubelet(t, s.ControlPlane.APIServer, owned)
	admin := suite.Admin(t, s.open)
	nodes, pods := "/api/v1/nodes/"+owned, "/api/v1/namespaces/default/pods/"+owned
	admin.MustSend(t, forceApply(nodes, "administrator", appliedNode(
		`"labels":{"`+keptLabel+`":"pci"},"annotations":{"example.com/note":"a"}`,
		`,"spec":{"taints":[{"key":"example.com/dedicated","effect":"NoSchedule"}]}`)))
	spec := `,"spec":{"nodeName":"` + owned + `","containers":[{"name":"c","image":"` + image + `"}]}`
	admin.MustSend(t, forceApply(pods, "administrator", appliedPod(`"labels":{"app":"shop"},`, spec)))

	s.deny(t, kubelet, owned, slices.Concat(appliesNode(nodes), editsNode(t, s.GetNode(t, owned)), appliesPod(pods)))
	s.deny(t, kubelet, owned, appliesMirrorPod(t, s.GetNode(t, owned)))
	const newcomer = "owned-newcomer"
	s.deny(t, suite.Kubelet(t, s.ControlPlane.APIServer, newcomer), newcomer, registersApplied(newcomer))

	t.Run("an edit through a subresource has no effect", func(t *testing.T) {
		before := entriesOf(t, s.GetNode(t, owned))
		kubelet.MustSend(t, suite.PatchNodeStatus(owned, `{"metadata":{"managedFields":[{}]}}`))
		if after := entriesOf(t, s.GetNode(t, owned)); after != before {
			t.Errorf("got %s, want %s", after, before)
		}
	})
	t.Run("heartbeats pass without a call", func(t *testing.T) { s.testOwnedHeartbeats(t, kubelet) })
	t.Run("fields that are no longer applied are removed", func(t *testing.T) {
		admin.MustSend(t, forceApply(nodes, "administrator", appliedNode("", "")))
		admin.MustSend(t, forceApply(pods, "administrator", appliedPod("", spec)))
		node := s.GetNode(t, owned)
		if _, kept := node.Labels[keptLabel]; kept || len(node.Annotations) > 0 || hasTaint(node, "example.com/dedicated") {
			t.Errorf("not removed: %v %v %v", node.Labels, node.Annotations, node.Spec.Taints)
		}
		pod, err := s.Admin.CoreV1().Pods(metav1.NamespaceDefault).Get(t.Context(), owned, metav1.GetOptions{})
		suite.Check(t, err)
		if len(pod.Labels) > 0 {
			t.Errorf("not removed: %v", pod.Labels)
		}
	})
}

func (s *environment) denyOwnership(t *testing.T) {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Name = "ownership"
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{owned, owned + "-*"}}
	p.Spec.Nodes.ManagedFields = &v1alpha1.NodeManagedFields{}
	p.Spec.MirrorPods.ManagedFields = &v1alpha1.MirrorPodManagedFields{}
	p.Spec.Pods.ManagedFields = &v1alpha1.PodManagedFields{}
	suite.Check(t, product.Enforce(t.Context(), s.Policies, p))
	t.Cleanup(func() { suite.Check(t, s.Policies.Delete(context.WithoutCancel(t.Context()), p)) })
}

// testOwnedHeartbeats writes conditions as a kubelet does: first all fields, which makes it their owner, and then only times.
func (s *environment) testOwnedHeartbeats(t *testing.T, kubelet *suite.Client) {
	beat := func(minute string) {
		kubelet.MustSend(t, suite.Strategic(suite.PatchNodeStatus(owned, `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady",`+
			`"message":"","lastHeartbeatTime":"2026-11-24T08:`+minute+`:00Z","lastTransitionTime":"2026-11-24T08:00:00Z"}]}}`)))
	}
	beat("00")
	before := s.evaluations(t)
	for _, minute := range []string{"05", "10", "15"} {
		beat(minute)
	}
	if now := s.evaluations(t); now != before {
		t.Errorf("the webhook was called %g times", now-before)
	}
}

// forceApply returns a server-side apply with force.
func forceApply(path, manager, object string) suite.Request {
	return suite.Request{
		Method: http.MethodPatch, Path: path, Type: suite.ApplyPatch, Body: object,
		Query: "fieldManager=" + manager + "&force=true",
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
		rest = `,"spec":{"containers":[{"name":"c","image":"` + image + `"}]}`
	}
	return `{"apiVersion":"v1","kind":"Pod","metadata":{` + labels + `"name":"` + owned + `","namespace":"default"}` + rest + `}`
}

// appliesNode returns server-side applies of what the Node has already.
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

// editsNode returns writes of managedFields.
func editsNode(t *testing.T, node *corev1.Node) []attack {
	t.Helper()
	edit := func(entries []metav1.ManagedFieldsEntry) suite.Request {
		return suite.PatchNode(node.Name, suite.JSON(t, map[string]any{"metadata": map[string]any{"managedFields": entries}}))
	}
	byAdministrator := func(e metav1.ManagedFieldsEntry) bool { return e.Manager == "administrator" }
	others := slices.DeleteFunc(slices.Clone(node.ManagedFields), byAdministrator)
	i := slices.IndexFunc(node.ManagedFields, byAdministrator)
	if i < 0 {
		t.Fatalf("the administrator owns no field: %s", entriesOf(t, node))
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
	pod := suite.MirrorPod{Namespace: metav1.NamespaceDefault, Name: "applied-" + owned, Node: node.Name, NodeUID: string(node.UID)}
	object := pod.Object()
	object["metadata"].(map[string]any)["managedFields"] = json.RawMessage(appliedEntry)
	return []attack{{"creates a mirror pod that seems applied", suite.Create(suite.PodsPath, suite.JSON(t, object))}}
}

const appliedEntry = `[{"manager":"administrator","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1",` +
	`"fieldsV1":{"f:metadata":{"f:annotations":{"f:example.com/note":{}}}}}]`

func registersApplied(name string) []attack {
	// The API server removes fields of the object from the entries that are sent: only a claim on a missing field remains.
	object := appliedAs(name, `"managedFields":`+appliedEntry, "")
	return []attack{
		{"registers as if applied", suite.Create(suite.NodesPath, object)},
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
