// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// restart gives the kubelet a static pod and an ordinary one, restarts it, and takes them away.
func (l *worker) restart(t *testing.T, name string) {
	mirror := name + "-" + l.Node
	check(t, l.AddStaticPod(name, staticPod(metav1.NamespaceSystem, name)))
	l.runPod(t, l.pod(name, stays))
	l.awaitPod(t, metav1.NamespaceSystem, mirror, running)
	l.restartKubelet(t)
	check(t, l.RemoveStaticPod(name))
	l.deletePod(t, name)
	l.awaitPod(t, metav1.NamespaceSystem, mirror, gone)
}

func (l *worker) restartKubelet(t *testing.T) {
	t.Helper()
	restarted := time.Now()
	check(t, l.Restart())
	check(t, l.AwaitReady(within(t, stepTimeout), l.admin, restarted))
}

// url gives the kubelet a static pod by way of its URL, changes it, and takes it away.
func (l *worker) url(t *testing.T, name string) {
	mirror := name + "-" + l.Node
	l.manifests.set(t, staticPod(metav1.NamespaceSystem, name))
	l.awaitPod(t, metav1.NamespaceSystem, mirror, running)
	before, err := l.admin.CoreV1().Pods(metav1.NamespaceSystem).Get(t.Context(), mirror, metav1.GetOptions{})
	check(t, err)
	l.manifests.set(t, bytes.ReplaceAll(staticPod(metav1.NamespaceSystem, name), []byte("10m"), []byte("20m")))
	l.awaitPod(t, metav1.NamespaceSystem, mirror, func(pod *corev1.Pod) bool {
		return running(pod) && pod.UID != before.UID
	})
	l.manifests.set(t)
	l.awaitPod(t, metav1.NamespaceSystem, mirror, gone)
}

// drain drains the node and lets the pods come back.
func (l *worker) drain(t *testing.T, name string) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	deployments := l.admin.AppsV1().Deployments(metav1.NamespaceDefault)
	_, err := deployments.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)), Selector: selector, Template: l.template(name, stays),
		},
	}, metav1.CreateOptions{})
	check(t, err)
	budgets := l.admin.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault)
	_, err = budgets.Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(2)), Selector: selector},
	}, metav1.CreateOptions{})
	check(t, err)
	l.awaitAvailable(t, name, 2)
	_, err = l.kubectl.Run(within(t, stepTimeout), nil, "drain", l.Node, "--ignore-daemonsets", "--force",
		"--delete-emptydir-data", "--pod-selector=app="+name)
	check(t, err)
	l.awaitAvailable(t, name, 0)
	_, err = l.kubectl.Run(t.Context(), nil, "uncordon", l.Node)
	check(t, err)
	l.awaitAvailable(t, name, 2)
	check(t, budgets.Delete(t.Context(), name, metav1.DeleteOptions{}))
	check(t, deployments.Delete(t.Context(), name, metav1.DeleteOptions{}))
	l.awaitNoPods(t, name)
}

func (l *worker) awaitAvailable(t *testing.T, deployment string, want int32) {
	t.Helper()
	await(t, func() error {
		d, err := l.admin.AppsV1().Deployments(metav1.NamespaceDefault).Get(t.Context(), deployment, metav1.GetOptions{})
		if err == nil && d.Status.AvailableReplicas != want {
			err = fmt.Errorf("%d pods of %s are available", d.Status.AvailableReplicas, deployment)
		}
		return err
	})
}

// taint drives a pod away by a taint.
func (l *worker) taint(t *testing.T, name string) {
	l.runPod(t, l.pod(name, stays))
	_, err := l.kubectl.Run(t.Context(), nil, "taint", "node", l.Node, "example.com/broken=:NoExecute")
	check(t, err)
	l.awaitPod(t, metav1.NamespaceDefault, name, gone)
	_, err = l.kubectl.Run(t.Context(), nil, "taint", "node", l.Node, "example.com/broken:NoExecute-")
	check(t, err)
}

// deletion deletes the Node and lets it return.
func (l *worker) deletion(t *testing.T, name string) {
	l.runPod(t, l.pod(name, stays))
	before := l.getNode(t, l.Node)
	check(t, l.admin.CoreV1().Nodes().Delete(t.Context(), l.Node, metav1.DeleteOptions{}))
	l.restartKubelet(t)
	if l.getNode(t, l.Node).UID == before.UID {
		t.Error("the Node is still the old one")
	}
	l.checkRegistration(t)
	l.awaitPod(t, metav1.NamespaceSystem, "proxy-"+l.Node, running)
	l.deletePod(t, name)
}

// lost takes the kubelet away until its Node is taken for dead and its pods are to go, and lets it come back.
func (l *worker) lost(t *testing.T, name string) {
	pod := l.pod(name, stays)
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
		Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
		TolerationSeconds: new(int64(1)),
	})
	l.runPod(t, pod)
	l.Stop()
	l.awaitCondition(t, corev1.NodeReady, corev1.ConditionUnknown)
	l.awaitPod(t, metav1.NamespaceDefault, name, func(pod *corev1.Pod) bool {
		return pod != nil && pod.DeletionTimestamp != nil
	})
	back := time.Now()
	check(t, l.Run())
	check(t, l.AwaitReady(within(t, stepTimeout), l.admin, back))
	l.awaitPod(t, metav1.NamespaceDefault, name, gone)
}

// pressure exhausts the machine's memory until the kubelet has evicted a pod.
func (l *worker) pressure(t *testing.T, name string) {
	l.runPod(t, l.pod(name, stays))
	check(t, l.Starve())
	l.awaitCondition(t, corev1.NodeMemoryPressure, corev1.ConditionTrue)
	l.awaitPod(t, metav1.NamespaceDefault, name, ended)
	check(t, l.Feed())
	l.awaitCondition(t, corev1.NodeMemoryPressure, corev1.ConditionFalse)
	l.deletePod(t, name)
}

// shutdown shuts the machine down in good order and starts it again.
func (l *worker) shutdown(t *testing.T, name string) {
	l.runPod(t, l.pod(name, stays))
	check(t, l.ShutDown())
	l.awaitPod(t, metav1.NamespaceDefault, name, ended)
	l.awaitPod(t, metav1.NamespaceSystem, "proxy-"+l.Node, ended)
	l.awaitCondition(t, corev1.NodeReady, corev1.ConditionFalse)
	l.restartKubelet(t)
	l.awaitPod(t, metav1.NamespaceSystem, "proxy-"+l.Node, running)
	l.deletePod(t, name)
}

// awaitCondition waits until a condition of the Node has a status.
func (l *worker) awaitCondition(t *testing.T, condition corev1.NodeConditionType, want corev1.ConditionStatus) {
	t.Helper()
	await(t, func() error {
		node, err := l.admin.CoreV1().Nodes().Get(t.Context(), l.Node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == condition && c.Status == want
		}) {
			return fmt.Errorf("%s is not %s: %v", condition, want, node.Status.Conditions)
		}
		return nil
	})
}
