// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

type fields = map[string]any

const (
	admin      = "admin"
	controller = "system:serviceaccount:kube-system:agent"
	ovn        = "system:ovn-node:"

	slicesResource = "resourceslices.resource.k8s.io"
	nodeNameExtra  = "authentication.kubernetes.io/node-name"
)

func kubelet(node string) string { return "system:node:" + node }

// live makes clients write for some steps.
func (w *world) live(steps int) {
	w.t.Helper()
	nodes := []string{"worker-1", "worker-2"}
	for _, node := range nodes {
		w.register(node)
	}
	for range steps {
		node := pick(w, nodes...)
		act := pick(w,
			w.heartbeat, w.heartbeat, w.heartbeat, w.nodeChange, w.othersNodeChange, w.nodeAttack, w.nodeAttack,
			w.createPod, w.podStatus, w.podStatus, w.podStatus, w.deletePod, w.podAttack, w.othersPodChange)
		if w.hasAgents && w.chance(3) {
			act = pick(w, w.agentNodeChange, w.agentPodChange, w.agentSlice)
		}
		act(node)
	}
}

func (w *world) register(node string) {
	w.send(sent{user: kubelet(node), verb: "create", resource: "nodes", name: node, body: fields{
		"metadata": fields{"name": node, "labels": fields{
			"kubernetes.io/hostname": node, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
			"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
		}},
		"spec": fields{},
		"status": fields{
			"capacity": fields{"cpu": "8", "memory": "32Gi", "pods": "110"}, "allocatable": fields{"cpu": "8", "memory": "31Gi", "pods": "110"},
			"conditions":      []any{condition("Ready", "True", w.clock), condition("MemoryPressure", "False", w.clock)},
			"addresses":       []any{fields{"type": "InternalIP", "address": "10.0.0.1"}, fields{"type": "Hostname", "address": node}},
			"daemonEndpoints": fields{"kubeletEndpoint": fields{"Port": 10250}},
			"nodeInfo":        fields{"operatingSystem": "linux", "architecture": "amd64", "kubeletVersion": "v1.37.2", "bootID": "b1"},
			"images":          []any{fields{"names": []any{"registry.example.com/a:1"}}},
		},
	}})
}

func condition(kind, status string, at time.Time) fields {
	return fields{
		"type": kind, "status": status, "reason": "R" + status, "message": "m",
		"lastHeartbeatTime": at.Format(time.RFC3339), "lastTransitionTime": "2026-11-20T07:00:00Z",
	}
}

// order is the directive with which kubelets order conditions.
func order(of ...any) []any {
	var all []any
	for _, c := range of {
		all = append(all, fields{"type": c.(fields)["type"]})
	}
	return all
}

func (w *world) nodePatch(node, verb string, patch any) {
	w.send(sent{user: kubelet(node), verb: verb, resource: "nodes", sub: "status", name: node, body: patch, dryRun: w.chance(40)})
}

func (w *world) heartbeat(node string) {
	at := w.clock.Format(time.RFC3339)
	conditions := []any{fields{"type": "Ready", "lastHeartbeatTime": at}, fields{"type": "MemoryPressure", "lastHeartbeatTime": at}}
	if w.chance(4) {
		conditions = []any{condition("Ready", pick(w, "True", "False"), w.clock), fields{"type": "MemoryPressure", "lastHeartbeatTime": at}}
	}
	status := fields{"conditions": conditions, "$setElementOrder/conditions": order(conditions...)}
	if w.chance(3) {
		status["images"] = []any{fields{"names": []any{"registry.example.com/a:" + strconv.Itoa(w.random.IntN(4))}}}
	}
	w.nodePatch(node, "strategic", fields{"status": status})
}

func (w *world) nodeChange(node string) {
	w.nodePatch(node, pick(w, "strategic", "merge"), pick(w,
		fields{"status": fields{"capacity": fields{"example.com/gpu": strconv.Itoa(w.random.IntN(4))}, "allocatable": fields{"example.com/gpu": "1"}}},
		fields{"status": fields{"volumesInUse": []any{"v" + strconv.Itoa(w.random.IntN(3))}}},
		fields{"status": fields{"volumesInUse": nil}},
		fields{"status": fields{"nodeInfo": fields{"bootID": strconv.Itoa(w.random.IntN(9)), "kubeletVersion": pick(w, "v1.37.2", "v1.37.3")}}},
		fields{"metadata": fields{"annotations": fields{"volumes.kubernetes.io/controller-managed-attach-detach": "true"}}},
		fields{"metadata": fields{"labels": fields{"kubernetes.io/os": "linux"}}},
		fields{"status": fields{"addresses": []any{fields{"type": "InternalIP", "address": "10.0.0." + strconv.Itoa(w.random.IntN(3))}}}},
	))
}

// label is one of a few, so that the same is written again, also by others.
func (w *world) label() fields {
	return fields{pick(w, "example.com/pool", "node-restriction.kubernetes.io/tenant", "topology.kubernetes.io/zone"): pick[any](w, "a", "b", nil)}
}

func (w *world) othersNodeChange(node string) {
	patch := pick(w,
		fields{"metadata": fields{"labels": w.label()}},
		fields{"metadata": fields{"annotations": w.label()}},
		fields{"metadata": fields{"finalizers": pick[any](w, []any{"example.com/stay"}, nil)}},
		fields{"spec": fields{"unschedulable": pick[any](w, true, nil)}},
		fields{"spec": fields{"taints": pick[any](w, []any{fields{"key": "dedicated", "effect": "NoSchedule"}}, nil)}},
	)
	w.send(sent{user: admin, verb: "merge", resource: "nodes", name: node, body: patch})
	if w.chance(2) {
		w.send(sent{user: controller, verb: "strategic", resource: "nodes", sub: "status", name: node, body: fields{"status": fields{
			"conditions": []any{condition("example.com/Problem", pick(w, "True", "False"), w.clock)},
		}}})
	}
}

func (w *world) nodeAttack(node string) {
	switch w.random.IntN(12) {
	case 0, 1:
		w.nodePatch(node, pick(w, "strategic", "merge"), fields{"metadata": fields{"labels": w.label()}})
	case 2:
		w.nodePatch(node, "json", []any{fields{"op": "add", "path": "/metadata/labels/example.com~1pool", "value": pick(w, "a", "b")}})
	case 3:
		w.send(sent{
			user: kubelet(node), verb: pick(w, "merge", "strategic"), resource: "nodes", name: node,
			body: fields{"spec": fields{"unschedulable": pick[any](w, true, nil, false)}},
		})
	case 4:
		w.nodePatch(node, pick(w, "strategic", "merge"), fields{"metadata": fields{"finalizers": pick[any](w, []any{"example.com/stay"}, nil)}})
	case 5: // removes the conditions of others, or changes them
		w.nodePatch(node, pick(w, "strategic", "merge"), fields{"status": fields{"conditions": []any{condition("Ready", "True", w.clock)}}})
	case 6:
		w.nodePatch(node, "strategic", fields{"status": fields{
			"conditions": []any{condition("example.com/Problem", pick(w, "True", "False"), w.clock)},
		}})
	case 7:
		w.nodePatch(node, "strategic", fields{"status": fields{"capacity": fields{"cpu": pick(w, "8", "100000")}}})
	case 8: // a PUT of the Node with something else
		object := w.objects["nodes//"+node]
		object = w.set(object, pick[any](w, fields{"example.com/pool": "a"}, fields{}), "metadata", "annotations")
		w.send(sent{user: kubelet(node), verb: "update", resource: "nodes", sub: pick(w, "", "status"), name: node, body: json.RawMessage(object)})
	case 9:
		w.nodePatch(node, "merge", fields{"status": fields{"addresses": pick[any](w, []any{}, []any{fields{"type": "ExternalIP", "address": "192.0.2.1"}})}})
	case 10:
		w.nodePatch(node, "strategic", fields{"status": fields{"nodeInfo": fields{"operatingSystem": pick(w, "linux", "windows")}}})
	case 11:
		w.nodePatch(node, "merge", fields{"status": fields{"daemonEndpoints": fields{"kubeletEndpoint": fields{"Port": pick(w, 10250, 443)}}}})
	}
}

func (w *world) createPod(node string) {
	if len(w.pods("")) > 4 {
		return
	}
	name := "pod-" + strconv.Itoa(w.random.IntN(3))
	if w.objects["pods/default/"+name] != nil {
		return
	}
	pod := fields{
		"metadata": fields{"name": name, "namespace": "default", "labels": fields{"app": "a"}},
		"spec":     fields{"containers": []any{fields{"name": "main", "image": "a"}}},
		"status":   fields{"phase": "Pending"},
	}
	if w.chance(4) { // a mirror pod
		pod["spec"].(fields)["nodeName"] = node
		pod["metadata"].(fields)["annotations"] = fields{"kubernetes.io/config.mirror": "h", "kubernetes.io/config.source": "file"}
		w.send(sent{user: kubelet(node), verb: "create", resource: "pods", namespace: "default", name: name, body: pod})
		return
	}
	w.send(sent{user: controller, verb: "create", resource: "pods", namespace: "default", name: name, body: pod})
	w.send(sent{
		user: "system:kube-scheduler", verb: "create", resource: "pods", sub: "binding", namespace: "default", name: name,
		body: fields{"target": fields{"kind": "Node", "name": node}},
	})
}

// onPod picks a pod of the node, and now and then one of another node.
func (w *world) onPod(node string) (string, bool) {
	pods := w.pods(node)
	if w.chance(15) {
		pods = w.pods("")
	}
	if len(pods) == 0 {
		return "", false
	}
	return pick(w, pods...), true
}

func (w *world) podPatch(node, pod, verb string, patch fields) {
	metadata, _ := patch["metadata"].(fields)
	if metadata == nil {
		metadata = fields{}
		patch["metadata"] = metadata
	}
	if !w.chance(10) {
		metadata["uid"] = get(w.objects["pods/default/"+pod], "metadata", "uid")
	}
	w.send(sent{
		user: kubelet(node), verb: verb, resource: "pods", sub: "status", namespace: "default", name: pod, body: patch, dryRun: w.chance(40),
	})
}

func (w *world) podStatus(node string) {
	pod, found := w.onPod(node)
	if !found {
		return
	}
	running := fields{"running": fields{"startedAt": w.clock.Format(time.RFC3339)}}
	status := pick(w,
		fields{
			"phase": "Running", "podIP": "10.244.0.5", "podIPs": []any{fields{"ip": "10.244.0.5"}},
			"containerStatuses": []any{fields{"name": "main", "ready": true, "image": "a", "imageID": "", "restartCount": 0, "state": running}},
		},
		fields{"conditions": []any{podCondition("Ready", pick(w, "True", "False"))}},
		fields{"phase": pick(w, "Succeeded", "Failed", "Running", "Pending")},
		fields{"containerStatuses": []any{fields{"name": "main", "ready": false, "image": "a", "imageID": "", "restartCount": w.random.IntN(3)}}},
	)
	if conditions, has := status["conditions"]; has {
		status["$setElementOrder/conditions"] = order(conditions.([]any)...)
	}
	w.podPatch(node, pod, "strategic", fields{"status": status})
}

func podCondition(kind, status string) fields {
	return fields{"type": kind, "status": status, "lastProbeTime": nil, "lastTransitionTime": "2026-11-20T07:00:00Z"}
}

func (w *world) deletePod(node string) {
	pod, found := w.onPod(node)
	if !found {
		return
	}
	grace := func(user string, seconds int) sent {
		return sent{
			user: user, verb: "delete", resource: "pods", namespace: "default", name: pod, body: fields{
				"kind": "DeleteOptions", "gracePeriodSeconds": seconds,
				"preconditions": fields{"uid": get(w.objects["pods/default/"+pod], "metadata", "uid")},
			},
		}
	}
	switch w.random.IntN(4) {
	case 0, 1:
		w.send(grace(admin, 30))
		if w.chance(2) {
			w.podPatch(node, pod, "strategic", fields{"status": fields{"phase": "Succeeded", "containerStatuses": []any{}}})
		}
	case 2:
		w.send(sent{
			user: pick(w, admin, kubelet(node)), verb: "create", resource: "pods", sub: "eviction", namespace: "default", name: pod,
			body: fields{"kind": "Eviction", "apiVersion": "policy/v1", "metadata": fields{"name": pod, "namespace": "default"}},
		})
	}
	w.clock = w.clock.Add(time.Duration(w.random.IntN(30)) * time.Second)
	w.send(grace(kubelet(node), 0))
}

func (w *world) podAttack(node string) {
	pod, found := w.onPod(node)
	if !found {
		return
	}
	verb := pick(w, "strategic", "merge")
	w.podPatch(node, pod, verb, pick(w,
		fields{"metadata": fields{"labels": fields{"app": pick(w, "a", "b")}}},
		fields{"metadata": fields{"annotations": fields{"example.com/x": pick[any](w, "a", nil)}}},
		fields{"status": fields{"conditions": []any{podCondition("example.com/gate", "True")}}},
		fields{"status": fields{"podIPs": []any{fields{"ip": fmt.Sprintf("10.244.0.%d", w.random.IntN(9))}}}},
		fields{"status": fields{"containerStatuses": []any{fields{"name": "phantom", "ready": true, "image": "a", "imageID": "", "restartCount": 0}}}},
		fields{"status": fields{"observedGeneration": w.random.IntN(3)}},
	))
}

func (w *world) othersPodChange(node string) {
	pod, found := w.onPod(node)
	if !found {
		return
	}
	if w.chance(2) {
		w.send(sent{user: controller, verb: "merge", resource: "pods", namespace: "default", name: pod, body: fields{
			"metadata": fields{"labels": fields{"app": pick(w, "a", "b")}, "annotations": fields{"example.com/x": pick[any](w, "a", nil)}},
		}})
		return
	}
	w.send(sent{user: controller, verb: "strategic", resource: "pods", sub: "status", namespace: "default", name: pod, body: fields{
		"status": fields{"conditions": []any{podCondition("example.com/gate", pick(w, "True", "False"))}},
	}})
}
