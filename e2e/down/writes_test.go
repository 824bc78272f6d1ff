// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package down_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/rig"
)

// victim is a pod on the stolen node.
const victim = "victim"

// downWrite is a write with a kubelet's credential while nobody answers for the product.
type downWrite struct {
	name  string // in the page of docs
	write func(nodeUID string) rig.Write
	want  rig.Outcome
}

// downWrites are in the order of the page.
func downWrites() []downWrite {
	fixed := func(w rig.Write) func(string) rig.Write { return func(string) rig.Write { return w } }
	status := func(body string) func(string) rig.Write { return fixed(rig.PatchStatus(stolenNode, body)) }
	registers := func(key, value string) func(string) rig.Write {
		return fixed(rig.Registers(stolenNode, map[string]string{key: value}))
	}
	pod := "/api/v1/namespaces/default/pods/" + victim
	patch := func(path, body string) rig.Write {
		w := rig.PatchStatus(stolenNode, body)
		w.Path = path
		return w
	}
	return []downWrite{
		{"a heartbeat", fixed(rig.Beats(stolenNode, time.Now())), rig.Allowed},
		{"a lease", fixed(rig.CreatesLease(stolenNode)), rig.Allowed},
		{"the status of a pod", fixed(patch(pod+"/status", `{"status":{"message":"m"}}`)), rig.Allowed},
		{"a label of a kubelet's own", status(`{"metadata":{"labels":{"kubernetes.io/os":"linux"}}}`), rig.Allowed},
		{"capacity, addresses, images", status(`{"status":{"capacity":{"cpu":"99"}}}`), rig.Allowed},
		{"a registration with stock labels", registers("kubernetes.io/os", "linux"), rig.Exists},
		{"a registration with a label that a policy denies", registers(deniedLabel, ""), rig.Floor},
		{"another label on the Node", status(`{"metadata":{"labels":{"example.com/a":"b"}}}`), rig.Unanswered},
		{"an annotation on the Node", status(`{"metadata":{"annotations":{"example.com/a":"b"}}}`), rig.Unanswered},
		{"a finalizer on the Node", fixed(rig.AddsFinalizer(stolenNode)), rig.Unanswered},
		{"the Node itself, such as a taint or to uncordon it", fixed(ownAnnotation(stolenNode)), rig.Unanswered},
		{"an annotation or finalizer of a pod", fixed(patch(pod+"/status", `{"metadata":{"annotations":{"a":"b"}}}`)), rig.Unanswered},
		{"a mirror pod", mirrorPod, rig.Unanswered},
		{"an eviction", fixed(rig.Write{
			Method: http.MethodPost, Path: pod + "/eviction", Type: "application/json",
			Body: `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"` + victim + `"}}`,
		}), rig.Unanswered},
		{"the deletion of a running pod", fixed(rig.Write{
			Method: http.MethodDelete, Path: pod, Type: "application/json",
		}), rig.Unanswered},
	}
}

func mirrorPod(nodeUID string) rig.Write {
	return rig.Write{
		Method: http.MethodPost, Path: "/api/v1/namespaces/default/pods", Type: "application/json",
		Body: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"evil-` + stolenNode + `",` +
			`"annotations":{"kubernetes.io/config.mirror":"1","kubernetes.io/config.hash":"1","kubernetes.io/config.source":"file"},` +
			`"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"` + stolenNode + `","uid":"` + nodeUID +
			`","controller":true}]},"spec":{"nodeName":"` + stolenNode + `","containers":[{"name":"c","image":"c"}]}}`,
	}
}

// testWritesWhileDown sends each write, as often as it may take for the API server to notice that nobody answers.
func (s *stage) testWritesWhileDown(t *testing.T) {
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
		check(t, err)
	}
	node, err := s.Admin.CoreV1().Nodes().Get(t.Context(), stolenNode, metav1.GetOptions{})
	check(t, err)
	for _, w := range downWrites() {
		a := s.write(t, w.write(string(node.UID)))
		if a.Outcome != w.want {
			t.Errorf("%s: want %s, it was %s", w.name, w.want, a)
		}
		// An API server judges anew, and waits again, what somebody else has changed in the meantime.
		if a.Took > 15*time.Second {
			t.Errorf("%s: it took %s", w.name, a.Took)
		}
	}
	check(t, pods.Delete(t.Context(), victim, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
	lease := s.Admin.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	check(t, lease.Delete(t.Context(), stolenNode, metav1.DeleteOptions{}))
}

// becomes is what the page says of an outcome.
func becomes(o rig.Outcome) string {
	switch o {
	case rig.Allowed, rig.Exists:
		return "passes"
	case rig.Floor:
		return "403 Forbidden, by the floor"
	case rig.Unanswered:
		return "refused: 500, `failed calling webhook`"
	}
	panic(fmt.Sprintf("no word for %s", o))
}
