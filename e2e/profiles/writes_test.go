// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/suite"
)

// deniedLabel is denied by the policy at registration, and by no plugin of Kubernetes.
const deniedLabel = "example.com/pci"

// attempt is a write with the credential of a kubelet and the outcome that it must have.
type attempt struct {
	name  string
	write suite.Request
	want  suite.Outcome
}

// attacks returns writes that no stock kubelet sends and that the policy recommended denies. The phase makes them differ from those of
// other phases.
func (n *node) attacks(phase string, want suite.Outcome) []attempt {
	key := "example.com/" + phase
	status := func(body string, args ...any) suite.Request {
		return suite.PatchNodeStatus(n.name, fmt.Sprintf(body, args...))
	}
	return []attempt{
		{"a finalizer on the Node", status(`{"metadata":{"finalizers":[%q]}}`, key), want},
		{"a label on the Node", status(`{"metadata":{"labels":{%q:"x"}}}`, key), want},
		{"an annotation on the Node", status(`{"metadata":{"annotations":{%q:"x"}}}`, key), want},
		{"a mirror pod labelled as the pods of a Service", n.mirrorPod("evil-"+phase, map[string]string{"app": "shop"}), want},
		{"an annotation of a pod", n.patchPodStatus("stays", fmt.Sprintf(`{"metadata":{"annotations":{%q:"x"}}}`, key)), want},
		{"the deletion of a running pod", suite.Delete(n.pod("deleted"), ""), want},
		{"the eviction of a pod", suite.Evict(n.podName("evicted")), want},
	}
}

// stock returns writes that a stock kubelet sends, with the outcome of the registration.
func (n *node) stock(phase string, registers suite.Outcome) []attempt {
	now := time.Now()
	status := func(body string) suite.Request { return suite.PatchNodeStatus(n.name, body) }
	return []attempt{
		{"a registration", suite.RegisterNode(n.name, map[string]string{"kubernetes.io/os": "linux"}), registers},
		{"a heartbeat", suite.Heartbeat(n.name, now), suite.Allowed},
		{"a lease", suite.RenewLease(n.name, now), suite.Allowed},
		{"a label that a kubelet sets itself", status(fmt.Sprintf(`{"metadata":{"labels":{"topology.kubernetes.io/zone":%q}}}`, phase)), suite.Allowed},
		{"capacity", status(fmt.Sprintf(`{"status":{"capacity":{"cpu":"%d"}}}`, 1+len(phase))), suite.Allowed},
		{"the status of a pod", n.patchPodStatus("stays", fmt.Sprintf(`{"status":{"message":%q}}`, phase)), suite.Allowed},
		{"a mirror pod", n.mirrorPod(phase, nil), suite.Allowed},
	}
}

// registersDenied returns a registration with a label that a policy denies.
func (n *node) registersDenied(want suite.Outcome) attempt {
	return attempt{
		"a registration with a denied label", suite.RegisterNode(n.name, map[string]string{deniedLabel: ""}), want,
	}
}

func (n *node) podName(pod string) string { return pod + "-on-" + n.name }

// pod returns the path of one of the pods on the node.
func (n *node) pod(pod string) string { return suite.PodsPath + "/" + n.podName(pod) }

func (n *node) patchPodStatus(pod, body string) suite.Request {
	return suite.PatchStatus(n.pod(pod), body)
}

// mirrorPod is the creation of a mirror pod as a kubelet makes it.
func (n *node) mirrorPod(name string, labels map[string]string) suite.Request {
	return n.mirrorPodIn(metav1.NamespaceSystem, name, labels)
}

func (n *node) mirrorPodIn(namespace, name string, labels map[string]string) suite.Request {
	pod := suite.MirrorPod{Namespace: namespace, Name: name + "-" + n.name, Labels: labels, Node: n.name, NodeUID: n.uid}
	return pod.Create()
}
