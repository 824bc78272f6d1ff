// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/cluster"
)

// victim is a pod on the stolen node.
const victim = "victim"

// outageWrite is a write with a kubelet's credential while nobody answers for the product.
type outageWrite struct {
	name  string // in the page of docs
	write func(nodeUID string) cluster.Write
	want  cluster.Outcome
}

// outageWrites are in the order of the page.
func outageWrites() []outageWrite {
	fixed := func(w cluster.Write) func(string) cluster.Write { return func(string) cluster.Write { return w } }
	status := func(body string) func(string) cluster.Write { return fixed(cluster.PatchStatus(stolenNode, body)) }
	registers := func(key, value string) func(string) cluster.Write {
		return fixed(cluster.Registers(stolenNode, map[string]string{key: value}))
	}
	pod := "/api/v1/namespaces/default/pods/" + victim
	patch := func(path, body string) cluster.Write {
		w := cluster.PatchStatus(stolenNode, body)
		w.Path = path
		return w
	}
	return []outageWrite{
		{"a heartbeat", fixed(cluster.Beats(stolenNode, time.Now())), cluster.Allowed},
		{"a lease", fixed(cluster.CreatesLease(stolenNode)), cluster.Allowed},
		{"the status of a pod", fixed(patch(pod+"/status", `{"status":{"message":"m"}}`)), cluster.Allowed},
		{"a label of a kubelet's own", status(`{"metadata":{"labels":{"kubernetes.io/os":"linux"}}}`), cluster.Allowed},
		{"capacity, addresses, images", status(`{"status":{"capacity":{"cpu":"99"}}}`), cluster.Allowed},
		{"a registration with stock labels", registers("kubernetes.io/os", "linux"), cluster.Exists},
		{"a registration with a label that a policy denies", registers(deniedLabel, ""), cluster.Floor},
		{"another label on the Node", status(`{"metadata":{"labels":{"example.com/a":"b"}}}`), cluster.Unanswered},
		{"an annotation on the Node", status(`{"metadata":{"annotations":{"example.com/a":"b"}}}`), cluster.Unanswered},
		{"a finalizer on the Node", fixed(cluster.AddsFinalizer(stolenNode)), cluster.Unanswered},
		{"the Node itself, such as a taint or to uncordon it", fixed(ownAnnotation(stolenNode)), cluster.Unanswered},
		{"an annotation or finalizer of a pod", fixed(patch(pod+"/status", `{"metadata":{"annotations":{"a":"b"}}}`)), cluster.Unanswered},
		{"a mirror pod", mirrorPod, cluster.Unanswered},
		{"an eviction", fixed(cluster.Write{
			Method: http.MethodPost, Path: pod + "/eviction", Type: "application/json",
			Body: `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"` + victim + `"}}`,
		}), cluster.Unanswered},
		{"the deletion of a running pod", fixed(cluster.Write{
			Method: http.MethodDelete, Path: pod, Type: "application/json",
		}), cluster.Unanswered},
	}
}

func mirrorPod(nodeUID string) cluster.Write {
	return cluster.Write{
		Method: http.MethodPost, Path: "/api/v1/namespaces/default/pods", Type: "application/json",
		Body: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"evil-` + stolenNode + `",` +
			`"annotations":{"kubernetes.io/config.mirror":"1","kubernetes.io/config.hash":"1","kubernetes.io/config.source":"file"},` +
			`"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"` + stolenNode + `","uid":"` + nodeUID +
			`","controller":true}]},"spec":{"nodeName":"` + stolenNode + `","containers":[{"name":"c","image":"c"}]}}`,
	}
}

// testWritesDuringOutage sends each write, as often as it may take for the API server to notice that nobody answers.
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
		check(t, err)
	}
	node, err := s.Admin.CoreV1().Nodes().Get(t.Context(), stolenNode, metav1.GetOptions{})
	check(t, err)
	for _, w := range outageWrites() {
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
func becomes(o cluster.Outcome) string {
	switch o {
	case cluster.Allowed, cluster.Exists:
		return "passes"
	case cluster.Floor:
		return "403 Forbidden, by the floor"
	case cluster.Unanswered:
		return "refused: 500, `failed calling webhook`"
	}
	panic(fmt.Sprintf("no word for %s", o))
}
