// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/policy"
)

const (
	kubelet = "system:node:worker-1"

	gate         = "gate.noderestriction.plus"
	registration = "registration.noderestriction.plus"
	status       = "status.noderestriction.plus"

	csiDrivers = "csi.volume.kubernetes.io/nodeid"
	providedIP = "alpha.kubernetes.io/provided-node-ip"
	attach     = "volumes.kubernetes.io/controller-managed-attach-detach"
)

// storedNode is a Node as a kubelet, a CSI driver and others have left it.
func storedNode() *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:            "worker-1",
			ResourceVersion: "1",
			Labels: map[string]string{
				"kubernetes.io/hostname": "worker-1", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
				"topology.kubernetes.io/zone": "a", "example.com/rack": "7", "node-role.kubernetes.io/worker": "",
			},
			Annotations: map[string]string{attach: "true", "node.alpha.kubernetes.io/ttl": "0"},
			Finalizers:  []string{"example.com/drain"},
		},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}}},
	}
}

// updateNode is the update of a Node, or of a subresource, that change makes of it.
func updateNode(subresource string, change func(*corev1.Node)) policy.Request {
	updated := storedNode()
	updated.ResourceVersion = "2"
	change(updated)
	return policy.Request{
		Write: policy.Write{
			Operation: admissionv1.Update, Resource: "nodes", Subresource: subresource, Name: updated.Name,
			OldObject: mustMarshal(storedNode()), Object: mustMarshal(updated),
		},
	}
}

// repairedTopology is the write of a kubelet that restarts, and finds that a topology label of a driver is missing.
func repairedTopology() policy.Request {
	old, updated := storedNode(), storedNode()
	for _, n := range []*corev1.Node{old, updated} {
		n.Annotations[csiDrivers] = `{"csi.example.com":"1"}`
	}
	updated.Labels["topology.csi.example.com/zone"] = "a"
	r := updateNode("status", func(*corev1.Node) {})
	r.OldObject, r.Object = mustMarshal(old), mustMarshal(updated)
	return r
}

// updatePod is the update of the status of a pod that change makes of it.
func updatePod(namespace, name string, change func(*corev1.Pod)) policy.Request {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: map[string]string{"app": "a"}, Finalizers: []string{"batch.kubernetes.io/job-tracking"},
		},
		Spec: corev1.PodSpec{NodeName: "worker-1", Containers: []corev1.Container{{Name: "c"}}},
	}
	updated := pod.DeepCopy()
	change(updated)
	return policy.Request{
		Write: policy.Write{
			Operation: admissionv1.Update, Resource: "pods", Subresource: "status", Namespace: namespace, Name: name,
			OldObject: mustMarshal(pod), Object: mustMarshal(updated),
		},
	}
}

// deletePod is the deletion of a pod on the kubelet's node that change was made of.
func deletePod(change func(*corev1.Pod)) policy.Request {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}, Spec: corev1.PodSpec{NodeName: "worker-1"}}
	change(pod)
	return policy.Request{
		Write: policy.Write{Operation: admissionv1.Delete, Resource: "pods", Namespace: "default", Name: "a", OldObject: mustMarshal(pod)},
	}
}

func createPod(namespace, name string) policy.Request {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.PodSpec{NodeName: "worker-1"}}
	return policy.Request{
		Write: policy.Write{Operation: admissionv1.Create, Resource: "pods", Namespace: namespace, Name: name, Object: mustMarshal(pod)},
	}
}

// mirrorPod is the creation of the pod that stands for a static pod.
func mirrorPod() policy.Request {
	r := createPod("kube-system", "etcd-worker-1")
	r.Object = mustMarshal(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name, Annotations: map[string]string{
			corev1.MirrorPodAnnotationKey: "h", "kubernetes.io/config.hash": "h", "kubernetes.io/config.source": "file",
		}},
		Spec: corev1.PodSpec{NodeName: "worker-1", Containers: []corev1.Container{{Name: "c"}}},
	})
	return r
}

func mustMarshal(object any) []byte {
	data, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return data
}

// stockWrites are the writes of a stock kubelet. None of them may go to a webhook that fails closed.
var stockWrites = map[string]struct {
	write policy.Request
	want  string
}{
	"a heartbeat calls nobody": {updateNode("status", func(n *corev1.Node) {
		n.Status.Conditions[0].LastHeartbeatTime = metav1.Now()
	}), ""},
	"a Node that becomes Ready calls nobody": {updateNode("status", func(n *corev1.Node) {
		n.Status.Conditions[0].Status = corev1.ConditionTrue
	}), ""},
	"an address is reported": {updateNode("status", func(n *corev1.Node) {
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}}
	}), status},
	"a device plugin is registered": {updateNode("status", func(n *corev1.Node) {
		n.Status.Capacity = corev1.ResourceList{"example.com/gpu": resource.MustParse("1")}
	}), status},
	"a pod that becomes Ready calls nobody": {updatePod("default", "a", func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		p.Status.Phase = corev1.PodRunning
	}), ""},
	"a pod gets its address":     {updatePod("default", "a", func(p *corev1.Pod) { p.Status.PodIP = "10.244.0.1" }), status},
	"the deletion of a pod ends": {deletePod(func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.Now()) }), status},
	"a mirror pod is deleted": {deletePod(func(p *corev1.Pod) {
		p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "h"}
	}), status},
	"a restart repairs labels": {updateNode("status", func(n *corev1.Node) {
		n.Labels["topology.kubernetes.io/zone"] = "b"
		n.Labels["topology.kubernetes.io/region"] = "r"
	}), status},
	"a restart removes an annotation": {updateNode("status", func(n *corev1.Node) { delete(n.Annotations, attach) }), status},
	"an address is provided":          {updateNode("status", func(n *corev1.Node) { n.Annotations[providedIP] = "10.0.0.1" }), status},
	"a CSI driver is registered": {updateNode("status", func(n *corev1.Node) {
		n.Annotations[csiDrivers] = `{"csi.example.com":"1"}`
		n.Labels["topology.csi.example.com/zone"] = "a"
	}), status},
	"a topology label of a CSI driver is repaired": {repairedTopology(), status},
	"a CSI driver without topology is registered": {updateNode("status", func(n *corev1.Node) {
		n.Annotations[csiDrivers] = `{"csi.example.com":"1"}`
	}), status},
	"the end of an evicted pod calls nobody": {updatePod("default", "a", func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodFailed
		p.Status.Conditions = []corev1.PodCondition{
			{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet},
		}
	}), ""},
	"a pod's status calls nobody": {updatePod("default", "a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }), ""},
	"a Node is registered": {policy.Request{
		Write: policy.Write{Operation: admissionv1.Create, Resource: "nodes", Name: "worker-1", Object: mustMarshal(storedNode())},
	}, registration},
	"a mirror pod is created": {mirrorPod(), status},
}

// What no stock kubelet writes.
var otherWrites = map[string]policy.Request{
	"an update of the Node itself":   updateNode("", func(n *corev1.Node) { n.Labels["example.com/rack"] = "8" }),
	"a cordoned Node":                updateNode("", func(n *corev1.Node) { n.Spec.Unschedulable = true }),
	"another provider ID":            updateNode("", func(n *corev1.Node) { n.Spec.ProviderID = "example://2" }),
	"a label":                        updateNode("status", func(n *corev1.Node) { n.Labels["example.com/dedicated"] = "pci" }),
	"a label with an empty value":    updateNode("status", func(n *corev1.Node) { n.Labels["node-role.kubernetes.io/master"] = "" }),
	"another value of a label":       updateNode("status", func(n *corev1.Node) { n.Labels["example.com/rack"] = "8" }),
	"a label that is removed":        updateNode("status", func(n *corev1.Node) { delete(n.Labels, "example.com/rack") }),
	"an empty label that is removed": updateNode("status", func(n *corev1.Node) { delete(n.Labels, "node-role.kubernetes.io/worker") }),
	"no label any more":              updateNode("status", func(n *corev1.Node) { n.Labels = nil }),
	"a pod that ends while it runs": updatePod("default", "a", func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodSucceeded
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}),
	"a disruption of a pod that continues": updatePod("default", "a", func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{
			{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet},
		}
	}),
	"a disruption by somebody else": updatePod("default", "a", func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodFailed
		p.Status.Conditions = []corev1.PodCondition{
			{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler},
		}
	}),
	"an annotation":                  updateNode("status", func(n *corev1.Node) { n.Annotations["example.com/a"] = "" }),
	"another value of an annotation": updateNode("status", func(n *corev1.Node) { n.Annotations["node.alpha.kubernetes.io/ttl"] = "1" }),
	"no annotation any more":         updateNode("status", func(n *corev1.Node) { n.Annotations = nil }),
	"a finalizer":                    updateNode("status", func(n *corev1.Node) { n.Finalizers = append(n.Finalizers, "example.com/a") }),
	"no finalizer any more":          updateNode("status", func(n *corev1.Node) { n.Finalizers = nil }),
	"an owner": updateNode("status", func(n *corev1.Node) {
		n.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "worker-1", UID: "1"}}
	}),
	"another value of a label with a CSI driver": updateNode("status", func(n *corev1.Node) {
		n.Annotations[csiDrivers] = `{"csi.example.com":"1"}`
		n.Labels["example.com/rack"] = "8"
	}),
	"a finalizer with a CSI driver": updateNode("status", func(n *corev1.Node) {
		n.Annotations[csiDrivers] = `{"csi.example.com":"1"}`
		n.Finalizers = nil
	}),
	"a label with a repaired one": updateNode("status", func(n *corev1.Node) {
		n.Labels["kubernetes.io/hostname"] = "worker-2"
		n.Labels["example.com/dedicated"] = "pci"
	}),
	"a mirror pod of no file":       createPod("kube-system", "etcd-worker-1"),
	"a pod's label":                 updatePod("default", "a", func(p *corev1.Pod) { p.Labels["app"] = "b" }),
	"a pod's annotation":            updatePod("default", "a", func(p *corev1.Pod) { p.Annotations = map[string]string{"a": ""} }),
	"a pod's finalizer":             updatePod("default", "a", func(p *corev1.Pod) { p.Finalizers = nil }),
	"the deletion of a running pod": deletePod(func(*corev1.Pod) {}),
	"the deletion of a pod of another node": deletePod(func(p *corev1.Pod) {
		p.DeletionTimestamp, p.Spec.NodeName = new(metav1.Now()), "worker-2"
	}),
	"an eviction": {
		Write: policy.Write{
			Operation: admissionv1.Create, Resource: "pods", Subresource: "eviction", Namespace: "default", Name: "a",
			Object: []byte(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"a"}}`),
		},
	},
}

func TestLine(t *testing.T) {
	c := newCaller(t)
	for name, test := range stockWrites {
		t.Run("stock: "+name, func(t *testing.T) { checkCalls(t, c, kubelet, test.write, test.want) })
	}
	for name, write := range otherWrites {
		t.Run("no stock kubelet: "+name, func(t *testing.T) { checkCalls(t, c, kubelet, write, gate) })
	}
}

func TestOnlyKubeletsCallAnybody(t *testing.T) {
	c := newCaller(t)
	for _, name := range []string{"", "kubernetes-admin", "system:serviceaccount:kube-system:node-controller", "system:nodes", "x:system:node:a"} {
		for write, test := range stockWrites {
			t.Run(name+"/"+write, func(t *testing.T) { checkCalls(t, c, name, test.write, "") })
		}
		for write, r := range otherWrites {
			t.Run(name+"/"+write, func(t *testing.T) { checkCalls(t, c, name, r, "") })
		}
	}
	// A kubelet without a name is one that is always denied.
	checkCalls(t, c, "system:node:", otherWrites["a finalizer"], gate)
}

func TestOwnPodsAreExempt(t *testing.T) {
	inService := newCaller(t)
	outside := newCaller(t, "--set", "webhook.url=https://127.0.0.1:9443")
	const own = "node-restriction-plus-5f-x"
	ownPod := func(change func(*corev1.Pod)) policy.Request {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "security", Name: own, Finalizers: []string{"example.com/a"}},
			Spec:       corev1.PodSpec{NodeName: "worker-1"},
		}
		change(pod)
		updated := pod.DeepCopy()
		updated.Finalizers = nil
		return policy.Request{
			Write: policy.Write{
				Operation: admissionv1.Update, Resource: "pods", Subresource: "status", Namespace: "security", Name: own,
				OldObject: mustMarshal(pod), Object: mustMarshal(updated),
			},
		}
	}
	deleteOwn := func(change func(*corev1.Pod)) policy.Request {
		r := ownPod(change)
		r.Operation, r.Subresource, r.Object = admissionv1.Delete, "", nil
		return r
	}
	asIs := func(*corev1.Pod) {}
	elsewhere := func(p *corev1.Pod) { p.Spec.NodeName = "worker-2" }
	unbound := func(p *corev1.Pod) { p.Spec.NodeName = "" }
	mirror := func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "h"} }
	strip := func(p *corev1.Pod) { p.Finalizers = nil }
	for name, test := range map[string]struct {
		c     *caller
		user  string
		write policy.Request
		want  string
	}{
		"an own pod is updated by its kubelet":                     {inService, kubelet, ownPod(asIs), ""},
		"an own pod is deleted by its kubelet":                     {inService, kubelet, deleteOwn(asIs), ""},
		"an own pod is updated by another kubelet":                 {inService, kubelet, ownPod(elsewhere), gate},
		"an own pod is deleted by another kubelet":                 {inService, kubelet, deleteOwn(elsewhere), gate},
		"an own pod that has no node yet is updated":               {inService, kubelet, ownPod(unbound), gate},
		"an own pod without a node is updated by one without name": {inService, "system:node:", ownPod(unbound), gate},
		"a mirror pod of that name is updated by its kubelet":      {inService, kubelet, ownPod(mirror), gate},
		"another pod in the namespace is updated":                  {inService, kubelet, updatePod("security", "a", strip), gate},
		"a pod of that name in another namespace is updated":       {inService, kubelet, updatePod("default", own, strip), gate},
		"a mirror pod is created in the namespace":                 {inService, kubelet, createPod("security", own), gate},
		"a pod is updated while the program is outside":            {outside, kubelet, ownPod(asIs), gate},
		"a Node is updated in its status":                          {inService, kubelet, otherWrites["a finalizer"], gate},
	} {
		t.Run(name, func(t *testing.T) { checkCalls(t, test.c, test.user, test.write, test.want) })
	}
}

// TestKubeletKeys holds the keys in the match conditions to be those that a kubelet manages: changed, added or removed they are
// looked at, but never refused while no replica answers.
func TestKubeletKeys(t *testing.T) {
	labels := []string{
		"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
		"node.kubernetes.io/windows-build", "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type",
		"topology.kubernetes.io/zone", "topology.kubernetes.io/region",
		"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
	}
	annotations := []string{csiDrivers, providedIP, attach}
	c := newCaller(t)
	for _, key := range labels {
		want := status
		if key == "kubernetes.io/hostname" { // is not the name of the Node
			want = gate
		}
		checkCalls(t, c, kubelet, updateNode("status", func(n *corev1.Node) { n.Labels[key] = "x" }), want)
	}
	for _, key := range annotations {
		checkCalls(t, c, kubelet, updateNode("status", func(n *corev1.Node) { n.Annotations[key] = "x" }), status)
	}
	for _, test := range []struct {
		labels []string
		want   string
	}{
		{labels[3:], status},
		{labels[:3], gate}, // a stock kubelet always has these
	} {
		old, updated := storedNode(), storedNode()
		for _, key := range labels {
			old.Labels[key] = "x"
			updated.Labels[key] = "x"
		}
		for _, key := range test.labels {
			delete(updated.Labels, key)
		}
		for _, key := range annotations {
			delete(updated.Annotations, key)
		}
		r := updateNode("status", func(*corev1.Node) {})
		r.OldObject, r.Object = mustMarshal(old), mustMarshal(updated)
		checkCalls(t, c, kubelet, r, test.want)
	}
}

func checkCalls(t *testing.T, c *caller, userName string, write policy.Request, want string) {
	t.Helper()
	called, failed := c.calls(userName, write)
	if len(failed) > 0 {
		t.Errorf("the conditions of %v end in an error", failed)
	}
	if got := strings.Join(called, ", "); got != want {
		t.Errorf("called is %q, want %q", got, want)
	}
}

// TestLargeNodes grows a Node's labels and annotations to what the API server can store. From some size on the conditions do not
// iterate over them, and the write goes to status; none ends in an error, which would be a bypass. Heartbeats of such a Node continue.
func TestLargeNodes(t *testing.T) {
	c := newCaller(t)
	repair := func(n *corev1.Node) { n.Labels["topology.kubernetes.io/zone"] = "b" }
	beat := func(n *corev1.Node) { n.Status.Conditions[0].LastHeartbeatTime = metav1.Now() }
	for _, test := range []struct {
		labels, annotations int
		want                string
	}{
		{100, 100, status},
		{500, 500, status},
		{2_000, 30_000, status}, // the API server stores 256 KiB of annotations
	} {
		t.Run(fmt.Sprintf("%d labels, %d annotations", test.labels, test.annotations), func(t *testing.T) {
			checkCalls(t, c, kubelet, updateLargeNode(test.labels, test.annotations, repair), test.want)
			checkCalls(t, c, kubelet, updateLargeNode(test.labels, test.annotations, beat), "")
		})
	}
}

// updateLargeNode is the update of nodes/status that change makes of a Node that has many labels and annotations besides.
func updateLargeNode(labels, annotations int, change func(*corev1.Node)) policy.Request {
	old, updated := storedNode(), storedNode()
	for _, node := range []*corev1.Node{old, updated} {
		for i := range labels {
			node.Labels[fmt.Sprintf("l%d", i)] = ""
		}
		for i := range annotations {
			node.Annotations[fmt.Sprintf("a%d", i)] = ""
		}
	}
	change(updated)
	return policy.Request{
		Write: policy.Write{
			Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: updated.Name,
			OldObject: mustMarshal(old), Object: mustMarshal(updated),
		},
	}
}

// TestLongLists reports more conditions and containers than any kubelet: the write is sent, and no condition ends in an error, which for
// status (Ignore) would be a bypass. Containers have quantities, which must not pass because there is no answer.
func TestLongLists(t *testing.T) {
	c := newCaller(t)
	checkCalls(t, c, kubelet, updateNode("status", func(n *corev1.Node) {
		for i := range 5_000 {
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeConditionType(fmt.Sprint("c", i))})
		}
	}), status)
	checkCalls(t, c, kubelet, updatePod("default", "a", func(p *corev1.Pod) {
		for i := range 5_000 {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodConditionType(fmt.Sprint("c", i))})
		}
	}), status)
	checkCalls(t, c, kubelet, updatePod("default", "a", func(p *corev1.Pod) {
		for i := range 5_000 {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: fmt.Sprint("c", i)})
		}
	}), gate)
}
