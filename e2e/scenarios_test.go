// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/suite"
)

// worker is a kubelet on which scenarios run one after the other.
type worker struct {
	*environment
	*kubelet.Kubelet
	attacker  *suite.Client // has the credential of the kubelet
	manifests *manifests
	scenarios int // so far
}

// scenario is something that happens to a kubelet. Afterwards the kubelet is as before, so that any other scenario may follow.
type scenario struct {
	name string
	// run gets a name for the objects that it creates.
	run func(l *worker, t *testing.T, name string)
}

// scenarios returns the scenarios in an order in which each third takes about the same time.
func scenarios() []scenario {
	return []scenario{
		{"restart", (*worker).restart},
		{"job", (*worker).job},
		{"sidecar", (*worker).sidecar},
		{"drain", (*worker).drain},
		{"driver", (*worker).driver},
		{"eviction", (*worker).eviction},

		{"shutdown", (*worker).shutdown},
		{"crash", (*worker).crash},
		{"deletion", (*worker).deletion},
		{"url", (*worker).url},
		{"resize", (*worker).resize},

		{"lost", (*worker).lost},
		{"taint", (*worker).taint},
		{"readiness", (*worker).readiness},
		{"ephemeral", (*worker).ephemeral},
		{"pressure", (*worker).pressure},
	}
}

// run runs all scenarios repeatedly until a moment, and at least its share. Each worker starts with another scenario.
func (l *worker) run(t *testing.T, index int, until time.Time) {
	all := scenarios()
	share := (len(all) + workers - 1) / workers
	all = slices.Concat(all[index*share:], all[:index*share]) // the last worker runs some again
	for i := 0; i < share || time.Now().Before(until); i++ {
		s := all[i%len(all)]
		l.scenarios++
		began := time.Now()
		if !t.Run(s.name, func(t *testing.T) { s.run(l, t, fmt.Sprintf("%s-%d-%s", s.name, l.scenarios, l.Node)) }) {
			return // a failed scenario would make later ones fail
		}
		t.Logf("%s took %s", s.name, time.Since(began).Round(100*time.Millisecond))
	}
}

// pod returns a pod that can only run on this worker's node.
func (l *worker) pod(name, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}, Spec: l.podSpec(image),
	}
}

func (l *worker) podSpec(image string) corev1.PodSpec {
	return corev1.PodSpec{
		NodeSelector:                  map[string]string{corev1.LabelHostname: l.Node},
		Tolerations:                   []corev1.Toleration{{Key: workerTaint, Operator: corev1.TolerationOpExists}},
		TerminationGracePeriodSeconds: new(int64(1)),
		Containers:                    []corev1.Container{{Name: "c", Image: image}},
	}
}

// template returns a pod template of a controller.
func (l *worker) template(app, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}}, Spec: l.podSpec(image),
	}
}

// runPod creates a pod and waits until it runs.
func (l *worker) runPod(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	_, err := l.Admin.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), pod, metav1.CreateOptions{})
	suite.Check(t, err)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, pod.Name, suite.Running)
}

// deletePod deletes a pod and waits until it is gone.
func (l *worker) deletePod(t *testing.T, name string) {
	t.Helper()
	err := l.Admin.CoreV1().Pods(metav1.NamespaceDefault).Delete(t.Context(), name, metav1.DeleteOptions{})
	if !apierrors.IsNotFound(err) {
		suite.Check(t, err)
	}
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, suite.Gone)
}

// awaitNoPods waits until there is no pod with this label app.
func (l *worker) awaitNoPods(t *testing.T, app string) {
	t.Helper()
	suite.Eventually(t, stepTimeout, func() error {
		list, err := l.Admin.CoreV1().Pods(metav1.NamespaceDefault).List(t.Context(),
			metav1.ListOptions{LabelSelector: "app=" + app})
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%s still exists: %s", list.Items[0].Name, suite.DescribePod(&list.Items[0]))
		}
		return err
	})
}

// ended reports whether the kubelet has terminated a pod, which succeeds if its containers exit with 0.
func ended(pod *corev1.Pod) bool {
	return pod != nil && (pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded) &&
		slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.DisruptionTarget && c.Reason == corev1.PodReasonTerminationByKubelet
		})
}

func isReady(pod *corev1.Pod, status corev1.ConditionStatus) bool {
	return pod != nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == status
	})
}

// staticPod returns the manifest of a static pod. Without a namespace it has no priority class either.
func staticPod(namespace, name string) []byte {
	metadata, class := fmt.Sprintf("{name: %s, labels: {component: %s, tier: node}}", name, name), `""`
	if namespace != "" {
		metadata = strings.Replace(metadata, "{", "{namespace: "+namespace+", ", 1)
		class = "system-node-critical"
	}
	return []byte("apiVersion: v1\nkind: Pod\nmetadata: " + metadata + `
spec:
  hostNetwork: true
  priorityClassName: ` + class + `
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: "` + kubelet.Stays + `", resources: {requests: {cpu: 10m}}}
`)
}

// daemonSet returns a DaemonSet with a pod on every node.
func daemonSet() *appsv1.DaemonSet {
	labels := map[string]string{"component": "daemon"}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "daemon"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					TerminationGracePeriodSeconds: new(int64(1)),
					Containers:                    []corev1.Container{{Name: "c", Image: kubelet.Stays}},
				},
			},
		},
	}
}

// manifests are the manifests of static pods that a kubelet reads from a URL.
type manifests struct {
	mu   sync.Mutex
	list corev1.PodList
}

func newManifests() *manifests {
	return &manifests{list: corev1.PodList{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: []corev1.Pod{},
	}}
}

// serve serves the manifests until the end of the test.
func (m *manifests) serve(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		w.Header().Set("Content-Type", suite.JSONType)
		_ = json.NewEncoder(w).Encode(&m.list) // a kubelet retries
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// set replaces the manifests.
func (m *manifests) set(t *testing.T, list ...[]byte) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list.Items = []corev1.Pod{}
	for _, manifest := range list {
		var pod corev1.Pod
		suite.Check(t, yaml.Unmarshal(manifest, &pod))
		m.list.Items = append(m.list.Items, pod)
	}
}
