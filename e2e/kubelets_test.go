package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/internal/manifest"
)

const (
	hollowNodes   = 3
	hollowPattern = "hollow-*" // their names
	hollowTime    = 2 * time.Minute
	hollowTimeout = time.Minute // for any one thing that a kubelet does
)

// testKubelets has kubelets live for two minutes under the policy strict, which must not deny anything that they write.
func (s *suite) testKubelets(t *testing.T) {
	s.enforceStrict(t)
	first, err := s.product.Records.Len()
	check(t, err)
	began := time.Now()
	var kubelets []*kubelet.Kubelet
	for i := range hollowNodes {
		kubelets = append(kubelets, s.startKubelet(t, fmt.Sprintf("hollow-%d", i+1)))
	}
	for _, k := range kubelets {
		check(t, k.AwaitReady(within(t, hollowTimeout), s.admin, began))
		s.awaitPod(t, "kube-system", "proxy-"+k.Node, running)
		s.awaitPod(t, "default", "agent-"+k.Node, running)
	}
	for round := 0; time.Since(began) < hollowTime; round++ {
		s.liveThrough(t, kubelets[round%len(kubelets)], fmt.Sprintf("round-%d", round))
	}
	records, err := s.product.Records.Since(first)
	check(t, err)
	for _, l := range records {
		if strings.HasPrefix(l.Node, "hollow-") {
			t.Errorf("a write of a stock kubelet was judged a violation: %s", l.Text)
		}
	}
	for _, k := range kubelets {
		log, err := os.ReadFile(k.LogFile())
		check(t, err)
		if strings.Contains(string(log), "denied the request") {
			t.Errorf("kubelet %s was denied something, see %s", k.Node, k.LogFile())
		}
	}
}

// enforceStrict enforces the policy strict for the kubelets of this test alone.
func (s *suite) enforceStrict(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile("../config/policies/strict.yaml")
	check(t, err)
	policies, err := manifest.Policies(data)
	check(t, err)
	for _, p := range policies {
		p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{hollowPattern}}
		check(t, product.Enforce(t.Context(), s.policies, p))
	}
}

func (s *suite) startKubelet(t *testing.T, node string) *kubelet.Kubelet {
	t.Helper()
	config, err := s.stock.Kubelet(node)
	check(t, err)
	k, err := kubelet.Start(t.Context(), kubelet.Options{
		Dir: filepath.Join(s.dir, node), Node: node, Config: config, Log: t.Output(),
		Labels: []string{"example.com/rack=r-1"},
	})
	check(t, err)
	t.Cleanup(k.Stop)
	check(t, k.AddStaticPod("proxy", staticPod("kube-system", "proxy")))
	check(t, k.AddStaticPod("agent", staticPod("", "agent")))
	return k
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
  containers:
  - {name: c, image: registry.example.com/c, resources: {requests: {cpu: 10m}}}
`)
}

// liveThrough lets a kubelet run and lose a static pod and an ordinary one, and restarts it in between.
func (s *suite) liveThrough(t *testing.T, k *kubelet.Kubelet, name string) {
	t.Helper()
	check(t, k.AddStaticPod(name, staticPod("kube-system", name)))
	_, err := s.admin.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			NodeName:                      k.Node,
			TerminationGracePeriodSeconds: new(int64(1)),
			Containers:                    []corev1.Container{{Name: "c", Image: "registry.example.com/c"}},
		},
	}, metav1.CreateOptions{})
	check(t, err)
	s.awaitPod(t, "default", name, running)
	s.awaitPod(t, "kube-system", name+"-"+k.Node, running)
	restarted := time.Now()
	check(t, k.Restart())
	check(t, k.AwaitReady(within(t, hollowTimeout), s.admin, restarted))
	check(t, s.admin.CoreV1().Pods("default").Delete(t.Context(), name, metav1.DeleteOptions{}))
	check(t, k.RemoveStaticPod(name))
	s.awaitPod(t, "default", name, deleted)
	s.awaitPod(t, "kube-system", name+"-"+k.Node, deleted)
}

func running(pod *corev1.Pod) bool { return pod != nil && pod.Status.Phase == corev1.PodRunning }
func deleted(pod *corev1.Pod) bool { return pod == nil }

// awaitPod waits until a condition holds for a pod, nil if there is none.
func (s *suite) awaitPod(t *testing.T, namespace, name string, condition func(*corev1.Pod) bool) {
	t.Helper()
	var last *corev1.Pod
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, hollowTimeout, true,
		func(ctx context.Context) (bool, error) {
			pod, err := s.admin.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				pod, err = nil, nil
			}
			last = pod
			return err == nil && condition(pod), err
		})
	if err != nil {
		t.Fatal(fmt.Errorf("pod %s/%s: %w, it is %s", namespace, name, err, phase(last)))
	}
}

func phase(pod *corev1.Pod) string {
	if pod == nil {
		return "not there"
	}
	return fmt.Sprintf("%s, deletionTimestamp %s", pod.Status.Phase, pod.DeletionTimestamp)
}
