// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/suite"
)

// restart restarts the kubelet while it runs a static pod and an ordinary one.
func (l *worker) restart(t *testing.T, name string) {
	mirror := name + "-" + l.Node
	suite.Check(t, l.AddStaticPod(name, staticPod(metav1.NamespaceSystem, name)))
	l.runPod(t, l.pod(name, kubelet.Stays))
	l.AwaitPod(t, stepTimeout, metav1.NamespaceSystem, mirror, suite.Running)
	l.restartKubelet(t)
	suite.Check(t, l.RemoveStaticPod(name))
	l.deletePod(t, name)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceSystem, mirror, suite.Gone)
}

func (l *worker) restartKubelet(t *testing.T) {
	t.Helper()
	restarted := time.Now()
	suite.Check(t, l.Restart())
	suite.Check(t, l.AwaitReady(suite.Within(t, stepTimeout), l.Admin, restarted))
}

// driver registers a CSI driver, takes its topology label away, and restarts the kubelet while the driver stays: the kubelet then adds
// the label alone. Finally, the driver leaves.
func (l *worker) driver(t *testing.T, name string) {
	const key = "topology.csi.example.com/zone"
	drivers := l.Admin.StorageV1().CSIDrivers()
	object := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := drivers.Create(t.Context(), object, metav1.CreateOptions{})
	suite.Check(t, err)
	d := &kubelet.CSIDriver{Name: name, NodeID: "id-of-" + l.Node, Topology: map[string]string{key: "a"}}
	suite.Check(t, l.AddCSIDriver(t.Context(), d))
	l.awaitNode(t, func(node *corev1.Node) bool { return node.Labels[key] == "a" && len(nodeIDs(t, node)) == 1 })

	_, err = l.Kubectl.Run(t.Context(), nil, "label", "node", l.Node, key+"-")
	suite.Check(t, err)
	l.restartKubelet(t)
	l.awaitNode(t, func(node *corev1.Node) bool { return node.Labels[key] == "a" })

	suite.Check(t, d.Remove())
	l.awaitNode(t, func(node *corev1.Node) bool { return len(nodeIDs(t, node)) == 0 })
	_, err = l.Kubectl.Run(t.Context(), nil, "label", "node", l.Node, key+"-")
	suite.Check(t, err)
	suite.Check(t, drivers.Delete(t.Context(), name, metav1.DeleteOptions{}))
}

// nodeIDs returns the IDs that CSI drivers gave the Node, by driver.
func nodeIDs(t *testing.T, node *corev1.Node) map[string]string {
	t.Helper()
	var ids map[string]string
	if text, has := node.Annotations["csi.volume.kubernetes.io/nodeid"]; has {
		suite.Check(t, json.Unmarshal([]byte(text), &ids))
	}
	return ids
}

// awaitNode waits until a condition holds for the Node.
func (l *worker) awaitNode(t *testing.T, condition func(*corev1.Node) bool) {
	t.Helper()
	suite.Eventually(t, stepTimeout, func() error {
		node := l.GetNode(t, l.Node)
		if condition(node) {
			return nil
		}
		return fmt.Errorf("node %s has the labels %v and the annotations %v", l.Node, node.Labels, node.Annotations)
	})
}

// url adds, changes and removes a static pod at the URL of the kubelet.
func (l *worker) url(t *testing.T, name string) {
	mirror := name + "-" + l.Node
	l.manifests.set(t, staticPod(metav1.NamespaceSystem, name))
	l.AwaitPod(t, stepTimeout, metav1.NamespaceSystem, mirror, suite.Running)
	before, err := l.Admin.CoreV1().Pods(metav1.NamespaceSystem).Get(t.Context(), mirror, metav1.GetOptions{})
	suite.Check(t, err)
	l.manifests.set(t, bytes.ReplaceAll(staticPod(metav1.NamespaceSystem, name), []byte("10m"), []byte("20m")))
	l.AwaitPod(t, stepTimeout, metav1.NamespaceSystem, mirror, func(pod *corev1.Pod) bool {
		return suite.Running(pod) && pod.UID != before.UID
	})
	l.manifests.set(t)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceSystem, mirror, suite.Gone)
}

// drain drains the node and uncordons it.
func (l *worker) drain(t *testing.T, name string) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	deployments := l.Admin.AppsV1().Deployments(metav1.NamespaceDefault)
	_, err := deployments.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)), Selector: selector, Template: l.template(name, kubelet.Stays),
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	budgets := l.Admin.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault)
	_, err = budgets.Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(2)), Selector: selector},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	l.awaitAvailable(t, name, 2)
	_, err = l.Kubectl.Run(suite.Within(t, stepTimeout), nil, "drain", l.Node, "--ignore-daemonsets", "--force",
		"--delete-emptydir-data", "--pod-selector=app="+name)
	suite.Check(t, err)
	l.awaitAvailable(t, name, 0)
	_, err = l.Kubectl.Run(t.Context(), nil, "uncordon", l.Node)
	suite.Check(t, err)
	l.awaitAvailable(t, name, 2)
	suite.Check(t, budgets.Delete(t.Context(), name, metav1.DeleteOptions{}))
	suite.Check(t, deployments.Delete(t.Context(), name, metav1.DeleteOptions{}))
	l.awaitNoPods(t, name)
}

func (l *worker) awaitAvailable(t *testing.T, deployment string, want int32) {
	t.Helper()
	suite.Eventually(t, stepTimeout, func() error {
		d, err := l.Admin.AppsV1().Deployments(metav1.NamespaceDefault).Get(t.Context(), deployment, metav1.GetOptions{})
		if err == nil && d.Status.AvailableReplicas != want {
			err = fmt.Errorf("%d pods of %s are available", d.Status.AvailableReplicas, deployment)
		}
		return err
	})
}

// taint evicts a pod with a taint.
func (l *worker) taint(t *testing.T, name string) {
	l.runPod(t, l.pod(name, kubelet.Stays))
	_, err := l.Kubectl.Run(t.Context(), nil, "taint", "node", l.Node, "example.com/broken=:NoExecute")
	suite.Check(t, err)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, suite.Gone)
	_, err = l.Kubectl.Run(t.Context(), nil, "taint", "node", l.Node, "example.com/broken:NoExecute-")
	suite.Check(t, err)
}

// deletion deletes the Node, which registers again.
func (l *worker) deletion(t *testing.T, name string) {
	l.runPod(t, l.pod(name, kubelet.Stays))
	before := l.GetNode(t, l.Node)
	suite.Check(t, l.Admin.CoreV1().Nodes().Delete(t.Context(), l.Node, metav1.DeleteOptions{}))
	l.restartKubelet(t)
	if l.GetNode(t, l.Node).UID == before.UID {
		t.Error("the Node was not replaced")
	}
	l.checkRegistration(t)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceSystem, "proxy-"+l.Node, suite.Running)
	l.deletePod(t, name)
}

// lost stops the kubelet until its Node is Unknown and its pods are evicted, and starts it again.
func (l *worker) lost(t *testing.T, name string) {
	pod := l.pod(name, kubelet.Stays)
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
		Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
		TolerationSeconds: new(int64(1)),
	})
	l.runPod(t, pod)
	l.Stop()
	l.AwaitNodeCondition(t, stepTimeout, l.Node, corev1.NodeReady, corev1.ConditionUnknown)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, func(pod *corev1.Pod) bool {
		return pod != nil && pod.DeletionTimestamp != nil
	})
	back := time.Now()
	suite.Check(t, l.Run())
	suite.Check(t, l.AwaitReady(suite.Within(t, stepTimeout), l.Admin, back))
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, suite.Gone)
}

// pressure exhausts the machine's memory until the kubelet evicts a pod.
func (l *worker) pressure(t *testing.T, name string) {
	l.runPod(t, l.pod(name, kubelet.Stays))
	suite.Check(t, l.Starve())
	l.AwaitNodeCondition(t, stepTimeout, l.Node, corev1.NodeMemoryPressure, corev1.ConditionTrue)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, ended)
	suite.Check(t, l.Feed())
	l.AwaitNodeCondition(t, stepTimeout, l.Node, corev1.NodeMemoryPressure, corev1.ConditionFalse)
	l.deletePod(t, name)
}

// shutdown shuts the machine down gracefully and starts it again.
func (l *worker) shutdown(t *testing.T, name string) {
	l.runPod(t, l.pod(name, kubelet.Stays))
	suite.Check(t, l.ShutDown())
	l.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, name, ended)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceSystem, "proxy-"+l.Node, ended)
	l.AwaitNodeCondition(t, stepTimeout, l.Node, corev1.NodeReady, corev1.ConditionFalse)
	l.restartKubelet(t)
	l.AwaitPod(t, stepTimeout, metav1.NamespaceSystem, "proxy-"+l.Node, suite.Running)
	l.deletePod(t, name)
}
