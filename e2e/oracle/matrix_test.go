// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

//nolint:staticcheck // SA1019: the plugin looks at configSource, so the test has to write it.
package oracle

import (
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubeletapis "k8s.io/kubelet/pkg/apis"
)

// TestVerdictsOnTheWholeMatrix evaluates each combination of what the plugin's own unit tests vary: the owner of the object, the
// operation, the subresource, whether the write has a name and the object exists, and the content that each check reads. As in those
// tests, deletions have no object.
func TestVerdictsOnTheWholeMatrix(t *testing.T) {
	set, c, total := wholeBaseline(t), newComparison(), 0
	stored := objects{
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "mynode", UID: "mynode-uid"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "mysa", UID: "mysa-uid"}},
	}
	for _, p := range matrixPods() {
		stored = append(stored, p)
	}
	for name, w := range map[string]objects{"nothing exists": {}, "all exists": append(stored, matrixStorage()...)} {
		plugin, facts := w.plugin(t), w.facts(t)
		for _, r := range slices.Concat(
			podMatrix(), ownerMatrix(), nodeMatrix(), leaseMatrix(), csiNodeMatrix(), sliceMatrix(), signingMatrix(),
			claimMatrix(), tokenMatrix(), certificateMatrix(), otherMatrix(),
		) {
			for _, user := range []string{"system:node:mynode", "bob"} {
				r := *r
				r.user, r.groups = user, []string{"system:nodes"}
				total++
				refusal, message := admit(t, plugin, &r), evaluate(t, set, facts, &r)
				c.compare(t, &r, refusal, message)
				if t.Failed() {
					t.Fatalf("where %s", name)
				}
			}
		}
	}
	c.log(t)
	if total < 3000 || c.known > 0 {
		t.Errorf("%d writes, %d of them not compared", total, c.known)
	}
}

// written is the object of a write.
type written struct {
	gv                                           schema.GroupVersion
	resource, kind, subresource, namespace, name string
}

// each returns the operations on an object. A deletion has no object.
func (w written) each(object, old runtime.Object) []*request {
	var rs []*request
	for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update, admissionv1.Delete} {
		r := &request{
			operation: operation, resource: w.gv.WithResource(w.resource), kind: w.gv.WithKind(w.kind),
			subresource: w.subresource, namespace: w.namespace, name: w.name,
		}
		if operation != admissionv1.Delete {
			r.object = object
		}
		if operation == admissionv1.Update {
			r.old = old
		}
		rs = append(rs, r)
	}
	return rs
}

func podMatrix() []*request {
	var rs []*request
	for _, pod := range matrixPods()[:6] {
		changed := pod.DeepCopy()
		changed.Labels = map[string]string{"a": "b"}
		claimed := pod.DeepCopy()
		claimed.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "a"}}
		for _, object := range []*corev1.Pod{pod, changed, claimed} {
			for _, subresource := range []string{"", "status", "binding"} {
				to := written{corev1.SchemeGroupVersion, "pods", "Pod", subresource, "ns", pod.Name}
				rs = append(rs, to.each(object, pod)...)
			}
		}
		for _, name := range []string{pod.Name, "gone", ""} {
			for _, evicted := range []string{pod.Name, "gone", ""} {
				eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: evicted}}
				to := written{corev1.SchemeGroupVersion, "pods", "", "eviction", "ns", name}
				for _, r := range to.each(eviction, nil) {
					r.kind = policyv1.SchemeGroupVersion.WithKind("Eviction")
					rs = append(rs, r)
				}
			}
		}
	}
	return rs
}

// ownerMatrix returns creations of mirror pods with each owner and each reference to an API object.
func ownerMatrix() []*request {
	change := func(f func(*metav1.OwnerReference)) []metav1.OwnerReference {
		owner := nodeOwner("mynode")
		f(&owner)
		return []metav1.OwnerReference{owner}
	}
	lists := [][]metav1.OwnerReference{
		nil,
		{nodeOwner("mynode"), nodeOwner("mynode")},
		change(func(*metav1.OwnerReference) {}),
		change(func(o *metav1.OwnerReference) { o.Name = "other" }),
		change(func(o *metav1.OwnerReference) { o.UID = "other" }),
		change(func(o *metav1.OwnerReference) { o.Kind = "Pod" }),
		change(func(o *metav1.OwnerReference) { o.APIVersion = "v2" }),
		change(func(o *metav1.OwnerReference) { o.Controller = nil }),
		change(func(o *metav1.OwnerReference) { o.Controller = new(false) }),
		change(func(o *metav1.OwnerReference) { o.BlockOwnerDeletion = new(true) }),
		change(func(o *metav1.OwnerReference) { o.BlockOwnerDeletion = new(false) }),
	}
	var mirrors []*corev1.Pod
	for _, owners := range lists {
		pod := matrixPods()[0]
		pod.OwnerReferences = owners
		mirrors = append(mirrors, pod)
	}
	for _, volumes := range matrixVolumes() {
		pod := matrixPods()[0]
		pod.Spec.Volumes = volumes
		mirrors = append(mirrors, pod)
	}
	for _, spec := range []corev1.PodSpec{
		{ServiceAccountName: "foo"},
		{ResourceClaims: []corev1.PodResourceClaim{{Name: "myclaim"}}},
		{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "foo"}}}}},
		{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}}}},
		{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}}}},
	} {
		pod := matrixPods()[0]
		spec.NodeName = "mynode"
		pod.Spec = spec
		mirrors = append(mirrors, pod)
	}
	var rs []*request
	for _, pod := range mirrors {
		to := written{corev1.SchemeGroupVersion, "pods", "Pod", "", "ns", pod.Name}
		rs = append(rs, to.each(pod, nil)[0])
	}
	return rs
}

func nodeMatrix() []*request {
	var rs []*request
	add := func(old, updated *corev1.Node) {
		for _, subresource := range []string{"", "status"} {
			to := written{corev1.SchemeGroupVersion, "nodes", "Node", subresource, "", updated.Name}
			rs = append(rs, to.each(updated, old)...)
		}
	}
	node := func(name string, change func(*corev1.Node)) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "mynode-uid"}}
		if change != nil {
			change(n)
		}
		return n
	}
	plain := node("mynode", nil)
	add(plain, plain)
	add(node("othernode", nil), node("othernode", nil))
	source := func(name string) *corev1.Node {
		return node("mynode", func(n *corev1.Node) {
			n.Spec.ConfigSource = &corev1.NodeConfigSource{ConfigMap: &corev1.ConfigMapNodeConfigSource{Name: name}}
		})
	}
	taint := func(value string) *corev1.Node {
		return node("mynode", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "mykey", Value: value}} })
	}
	owner := func(name string) *corev1.Node {
		return node("mynode", func(n *corev1.Node) {
			n.OwnerReferences = []metav1.OwnerReference{{Name: name, Controller: new(true)}}
		})
	}
	label := func(key, value string) *corev1.Node {
		return node("mynode", func(n *corev1.Node) { n.Labels = map[string]string{key: value} })
	}
	for _, pair := range [][2]*corev1.Node{
		{source("a"), source("b")}, {taint("A"), taint("B")}, {owner("A"), owner("B")},
	} {
		for _, old := range []*corev1.Node{plain, pair[0], pair[1]} {
			for _, updated := range []*corev1.Node{plain, pair[0], pair[1]} {
				add(old, updated)
			}
		}
	}
	keys := []string{
		"foo", "example.com/foo", "node-restriction.kubernetes.io/foo", "foo.node-restriction.kubernetes.io/foo",
		"other.kubernetes.io/foo", "other.k8s.io/foo", "kubernetes.io/foo", "k8s.io/foo",
	}
	keys = append(keys, kubeletapis.KubeletLabels()...)
	for _, domain := range kubeletapis.KubeletLabelNamespaces() {
		keys = append(keys, domain+"/foo", "foo."+domain+"/foo")
	}
	for _, key := range keys {
		for _, old := range []*corev1.Node{plain, label(key, "a"), label(key, "")} {
			for _, updated := range []*corev1.Node{plain, label(key, "b"), label(key, "")} {
				add(old, updated)
			}
		}
	}
	return rs
}
