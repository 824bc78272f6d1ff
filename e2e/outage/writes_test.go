// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/suite"
)

// victim is a pod on the stolen node.
const victim = "victim"

// outageWrite is a write with a kubelet's credential while no replica answers.
type outageWrite struct {
	name  string // in the page
	write func(nodeUID string) suite.Request
	want  suite.Outcome
}

// outageWrites are in the order of the page.
func outageWrites() []outageWrite {
	fixed := func(w suite.Request) func(string) suite.Request { return func(string) suite.Request { return w } }
	status := func(body string) func(string) suite.Request { return fixed(suite.PatchNodeStatus(stolenNode, body)) }
	registers := func(key, value string) func(string) suite.Request {
		return fixed(suite.RegisterNode(stolenNode, map[string]string{key: value}))
	}
	pod := suite.PodsPath + "/" + victim
	return []outageWrite{
		{"a heartbeat", fixed(suite.Heartbeat(stolenNode, time.Now())), suite.Allowed},
		{"a lease", fixed(suite.CreateLease(stolenNode)), suite.Allowed},
		{"the status of a pod", fixed(suite.PatchStatus(pod, `{"status":{"message":"m"}}`)), suite.Allowed},
		{"a label that a kubelet sets itself", status(`{"metadata":{"labels":{"kubernetes.io/os":"linux"}}}`), suite.Allowed},
		{"capacity, addresses, images", status(`{"status":{"capacity":{"cpu":"99"}}}`), suite.Allowed},
		{"a registration with stock labels", registers("kubernetes.io/os", "linux"), suite.Exists},
		{"a registration with a label that a policy denies", registers(deniedLabel, ""), suite.Floor},
		{"another label on the Node", status(`{"metadata":{"labels":{"example.com/a":"b"}}}`), suite.Unanswered},
		{"an annotation on the Node", status(`{"metadata":{"annotations":{"example.com/a":"b"}}}`), suite.Unanswered},
		{"a finalizer on the Node", fixed(suite.AddFinalizer(stolenNode)), suite.Unanswered},
		{"the Node itself, for example its taints or to uncordon it", fixed(suite.AnnotateOwnNode(stolenNode)), suite.Unanswered},
		{"an annotation or finalizer of a pod", fixed(suite.PatchStatus(pod, `{"metadata":{"annotations":{"a":"b"}}}`)), suite.Unanswered},
		{"a condition that others write", status(`{"status":{"conditions":[{"type":"KernelDeadlock","status":"False"}]}}`), suite.Unanswered},
		{"a loopback address", status(`{"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"}]}}`), suite.Unanswered},
		{"a capacity beyond any machine", status(`{"status":{"capacity":{"cpu":"99999"}}}`), suite.Unanswered},
		{"a mirror pod with the label of a controller", mirrorPod, suite.Unanswered},
		{"an eviction", fixed(suite.Evict(victim)), suite.Unanswered},
		{"the deletion of a running pod", fixed(suite.Delete(pod, "")), suite.Unanswered},
	}
}

func mirrorPod(nodeUID string) suite.Request {
	pod := suite.MirrorPod{
		Namespace: metav1.NamespaceDefault, Name: "evil-" + stolenNode, Node: stolenNode, NodeUID: nodeUID,
		Labels: map[string]string{"pod-template-hash": "5f"},
	}
	return pod.Create()
}

// testWritesDuringOutage sends each write and checks its outcome.
func (s *setup) testWritesDuringOutage(t *testing.T) {
	pods := s.Admin.CoreV1().Pods(metav1.NamespaceDefault)
	_, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: victim},
		Spec: corev1.PodSpec{
			NodeName:    stolenNode,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers:  []corev1.Container{{Name: "c", Image: "c"}},
		},
	}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		suite.Check(t, err)
	}
	node, err := s.Admin.CoreV1().Nodes().Get(t.Context(), stolenNode, metav1.GetOptions{})
	suite.Check(t, err)
	for _, w := range outageWrites() {
		a := s.write(t, w.write(string(node.UID)))
		if a.Outcome != w.want {
			t.Errorf("%s: want %s, got %s", w.name, w.want, a)
		}
		// If another client has changed the object in the meantime, the API server calls the webhook again, and waits again.
		if a.Took > 15*time.Second {
			t.Errorf("%s: it took %s", w.name, a.Took)
		}
	}
	suite.Check(t, pods.Delete(t.Context(), victim, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
	lease := s.Admin.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	suite.Check(t, lease.Delete(t.Context(), stolenNode, metav1.DeleteOptions{}))
}

// resultOf returns what the page says about an outcome.
func resultOf(o suite.Outcome) string {
	switch o {
	case suite.Allowed, suite.Exists:
		return "passes"
	case suite.Floor:
		return "403 Forbidden, by the floor"
	case suite.Unanswered:
		return "refused: 500, `failed calling webhook`"
	}
	panic(fmt.Sprintf("no word for %s", o))
}
