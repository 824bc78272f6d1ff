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
)

// Images of imaginary containers: of the first they run until they are stopped, of the others they end by themselves.
const (
	stays = "registry.example.com/c:stays"
	exits = "registry.example.com/c:exits"
	fails = "registry.example.com/c:fails"
)

// worker is a kubelet and what happens to it, one thing after the other.
type worker struct {
	*suite
	*kubelet.Kubelet
	attacker  caller // with the kubelet's credential
	manifests *manifests
	happened  int
}

// scenario is something that happens to a kubelet. Afterwards it is as before, so that anything else may follow.
type scenario struct {
	name string
	// run is given a name for what it creates.
	run func(l *worker, t *testing.T, name string)
}

// scenarios are in an order in which each third of them takes about as long as the others.
func scenarios() []scenario {
	return []scenario{
		{"restart", (*worker).restart},
		{"job", (*worker).job},
		{"sidecar", (*worker).sidecar},
		{"drain", (*worker).drain},
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

// live lets everything happen to the kubelet, again and again, until a moment; but at least its share of it. Each worker
// begins elsewhere.
func (l *worker) live(t *testing.T, index int, until time.Time) {
	all := scenarios()
	share := len(all) / workers
	all = slices.Concat(all[index*share:], all[:index*share])
	for i := 0; i < share || time.Now().Before(until); i++ {
		s := all[i%len(all)]
		l.happened++
		began := time.Now()
		if !t.Run(s.name, func(t *testing.T) { s.run(l, t, fmt.Sprintf("%s-%d-%s", s.name, l.happened, l.Node)) }) {
			return // what a failed one leaves behind would have others fail
		}
		t.Logf("%s took %s", s.name, time.Since(began).Round(100*time.Millisecond))
	}
}

// pod is a pod that only this worker's node can take.
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

// template is a pod template of a controller.
func (l *worker) template(app, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}}, Spec: l.podSpec(image),
	}
}

// runPod creates a pod and waits until it runs.
func (l *worker) runPod(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	_, err := l.admin.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), pod, metav1.CreateOptions{})
	check(t, err)
	l.awaitPod(t, metav1.NamespaceDefault, pod.Name, running)
}

// deletePod deletes a pod and waits until it is gone.
func (l *worker) deletePod(t *testing.T, name string) {
	t.Helper()
	err := l.admin.CoreV1().Pods(metav1.NamespaceDefault).Delete(t.Context(), name, metav1.DeleteOptions{})
	if !apierrors.IsNotFound(err) {
		check(t, err)
	}
	l.awaitPod(t, metav1.NamespaceDefault, name, gone)
}

// awaitNoPods waits until no pod with this label app is left.
func (l *worker) awaitNoPods(t *testing.T, app string) {
	t.Helper()
	await(t, func() error {
		list, err := l.admin.CoreV1().Pods(metav1.NamespaceDefault).List(t.Context(),
			metav1.ListOptions{LabelSelector: "app=" + app})
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%s is left, %s", list.Items[0].Name, phase(&list.Items[0]))
		}
		return err
	})
}

func running(pod *corev1.Pod) bool { return pod != nil && pod.Status.Phase == corev1.PodRunning }
func gone(pod *corev1.Pod) bool    { return pod == nil }

// ended says that the kubelet has ended a pod. Containers that exit with 0 have it succeed in the end.
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

// awaitPod waits until a condition holds for a pod, nil if there is none.
func (s *suite) awaitPod(t *testing.T, namespace, name string, condition func(*corev1.Pod) bool) {
	t.Helper()
	await(t, func() error {
		pod, err := s.admin.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			pod, err = nil, nil
		}
		if err == nil && !condition(pod) {
			err = fmt.Errorf("pod %s/%s is %s", namespace, name, phase(pod))
		}
		return err
	})
}

func phase(pod *corev1.Pod) string {
	if pod == nil {
		return "not there"
	}
	return fmt.Sprintf("%s (%s), deletionTimestamp %s, conditions %v",
		pod.Status.Phase, pod.Status.Reason, pod.DeletionTimestamp, pod.Status.Conditions)
}

// await waits as eventually does, for something that a kubelet or a controller does.
func await(t *testing.T, condition func() error) {
	t.Helper()
	eventuallyAt(t, 200*time.Millisecond, stepTimeout, condition)
}

// staticPod is the manifest of a static pod. An empty namespace is left out of it.
func staticPod(namespace, name string) []byte {
	metadata := fmt.Sprintf("{name: %s, labels: {component: %s, tier: node}}", name, name)
	if namespace != "" {
		metadata = strings.Replace(metadata, "{", "{namespace: "+namespace+", ", 1)
	}
	return []byte("apiVersion: v1\nkind: Pod\nmetadata: " + metadata + `
spec:
  hostNetwork: true
  priorityClassName: system-node-critical
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: "` + stays + `", resources: {requests: {cpu: 10m}}}
`)
}

// daemonSet has a pod on every node.
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
					Containers:                    []corev1.Container{{Name: "c", Image: stays}},
				},
			},
		},
	}
}

// manifests are the manifests of static pods that a kubelet finds at a URL.
type manifests struct {
	mu   sync.Mutex
	list corev1.PodList
}

func newManifests() *manifests {
	return &manifests{list: corev1.PodList{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: []corev1.Pod{},
	}}
}

// serve serves them until the end of the test.
func (m *manifests) serve(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		w.Header().Set("Content-Type", mediaJSON)
		_ = json.NewEncoder(w).Encode(&m.list) // a kubelet that is gone asks again
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// set has them be these.
func (m *manifests) set(t *testing.T, list ...[]byte) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list.Items = []corev1.Pod{}
	for _, manifest := range list {
		var pod corev1.Pod
		check(t, yaml.Unmarshal(manifest, &pod))
		m.list.Items = append(m.list.Items, pod)
	}
}
