// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"noderestriction.plus/e2e/cluster"
)

// deniedLabel is one that the policy denies at registration, and no plugin of Kubernetes does.
const deniedLabel = "example.com/pci"

// attempt is a write with the credential of a kubelet, and what is to become of it.
type attempt struct {
	name  string
	write suite.Request
	want  suite.Outcome
}

// attacks are writes that no stock kubelet makes, each of which the policy recommended denies. The phase makes them differ
// from those of another phase.
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
		{"the deletion of a running pod", suite.Request{Method: http.MethodDelete, Path: n.pod("deleted"), Type: "application/json"}, want},
		{"the eviction of a pod", suite.Request{
			Method: http.MethodPost, Path: n.pod("evicted") + "/eviction", Type: "application/json",
			Body: fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q}}`, n.podName("evicted")),
		}, want},
	}
}

// stock are writes that a stock kubelet makes. Those that are new in this phase are the registration and the mirror pod.
func (n *node) stock(phase string, registers, mirrorPod suite.Outcome) []attempt {
	now := time.Now()
	status := func(body string) suite.Request { return suite.PatchNodeStatus(n.name, body) }
	return []attempt{
		{"a registration", suite.RegisterNode(n.name, map[string]string{"kubernetes.io/os": "linux"}), registers},
		{"a heartbeat", suite.Heartbeat(n.name, now), suite.Allowed},
		{"a lease", suite.RenewLease(n.name, now), suite.Allowed},
		{"a label of a kubelet's own", status(fmt.Sprintf(`{"metadata":{"labels":{"topology.kubernetes.io/zone":%q}}}`, phase)), suite.Allowed},
		{"capacity", status(fmt.Sprintf(`{"status":{"capacity":{"cpu":"%d"}}}`, 1+len(phase))), suite.Allowed},
		{"the status of a pod", n.patchPodStatus("stays", fmt.Sprintf(`{"status":{"message":%q}}`, phase)), suite.Allowed},
		{"a mirror pod", n.mirrorPod(phase, nil), mirrorPod},
	}
}

// registersDenied is a registration with a label that a policy denies.
func (n *node) registersDenied(want suite.Outcome) attempt {
	return attempt{
		"a registration with a label that is denied", suite.RegisterNode(n.name, map[string]string{deniedLabel: ""}), want,
	}
}

func (n *node) podName(pod string) string { return pod + "-on-" + n.name }

// pod is the path of one of the pods on the node.
func (n *node) pod(pod string) string { return "/api/v1/namespaces/default/pods/" + n.podName(pod) }

func (n *node) patchPodStatus(pod, body string) suite.Request {
	w := suite.PatchNodeStatus(n.name, body)
	w.Path = n.pod(pod) + "/status"
	return w
}

// mirrorPod is the creation of a mirror pod as a kubelet makes it.
func (n *node) mirrorPod(name string, labels map[string]string) suite.Request {
	return n.mirrorPodIn("kube-system", name, labels)
}

func (n *node) mirrorPodIn(namespace, name string, labels map[string]string) suite.Request {
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{
			"name": name + "-" + n.name, "namespace": namespace, "labels": labels,
			"annotations": map[string]string{
				"kubernetes.io/config.mirror": "1", "kubernetes.io/config.hash": "1", "kubernetes.io/config.source": "file",
			},
			"ownerReferences": []any{map[string]any{
				"apiVersion": "v1", "kind": "Node", "name": n.name, "uid": n.uid, "controller": true,
			}},
		},
		"spec": map[string]any{
			"nodeName": n.name, "containers": []any{map[string]any{"name": "c", "image": "c"}},
			"tolerations": []any{map[string]any{"operator": "Exists", "effect": "NoExecute"}},
		},
	})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return suite.Request{
		Method: http.MethodPost, Path: "/api/v1/namespaces/" + namespace + "/pods", Type: "application/json", Body: string(body),
	}
}
