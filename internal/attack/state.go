// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"encoding/json"
	"slices"

	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
)

const (
	// someUID is the UID of objects that need not exist.
	someUID = "11111111-1111-1111-1111-111111111111"
	// jobFinalizer is the finalizer with which a Job counts its pods.
	jobFinalizer = "batch.kubernetes.io/job-tracking"
	// mirrorAnnotation makes a pod a mirror pod.
	mirrorAnnotation = "kubernetes.io/config.mirror"
)

// state is what attacks need to know of a cluster.
type state struct {
	node        string // the kubelet's, or the node agent's
	account     string // of the node agent, as namespace/name; empty: the attacker is a kubelet
	own         object // its Node; nil if it does not exist
	otherObject object // another Node; maybe only its name is known, and it need not exist

	pod      object // on the node, not finished; nil if there is no such pod, as for the following
	finished object // a finished pod on the node
	jobPod   object // a pod of a Job on the node
	claim    object // of a pod on the node; only its name is known
	otherPod object // of another node
}

// setPods keeps the pods of the node that attacks need.
func (s *state) setPods(pods []any) {
	for _, item := range pods {
		pod, _ := item.(object)
		if textAt(pod, "metadata", "name") == "" || textAt(pod, "spec", "nodeName") != s.node {
			continue
		}
		s.setPod(pod)
	}
}

func (s *state) setPod(pod object) {
	phase := textAt(pod, "status", "phase")
	finalizers, _ := lookUp(pod, "metadata", "finalizers").([]any)
	if s.jobPod == nil && slices.Contains(finalizers, any(jobFinalizer)) {
		s.jobPod = pod
	}
	switch annotations, _ := lookUp(pod, "metadata", "annotations").(object); {
	case phase == "Succeeded" || phase == "Failed":
		if s.finished == nil {
			s.finished = pod
		}
		return
	case lookUp(pod, "metadata", "deletionTimestamp") != nil, annotations[mirrorAnnotation] != nil:
		return
	}
	if s.pod == nil || phase == "Running" && textAt(s.pod, "status", "phase") != "Running" {
		s.pod = pod
	}
	volumes, _ := lookUp(pod, "spec", "volumes").([]any)
	for _, v := range volumes {
		volume, _ := v.(object)
		if name := textAt(volume, "persistentVolumeClaim", "claimName"); name != "" && s.claim == nil {
			s.claim = object{"metadata": object{"name": name, "namespace": textAt(pod, "metadata", "namespace")}}
		}
	}
}

// facts returns what policies can look up: the objects of the state.
func (s *state) facts() (policy.Facts, error) {
	items := []object{}
	for _, of := range []struct {
		kind   string
		object object
	}{{"Node", s.own}, {"Node", s.otherObject}, {"Pod", s.pod}, {"Pod", s.finished}, {"Pod", s.jobPod}, {"Pod", s.otherPod}} {
		if of.object != nil {
			items = append(items, mergePatch(of.object, object{"apiVersion": "v1", "kind": of.kind}))
		}
	}
	data, err := json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return nil, err
	}
	return manifest.Facts(data)
}

// registration returns a Node as a kubelet registers it, with the labels of the kubelet's own.
func (s *state) registration(name string) object {
	labels := object{"kubernetes.io/hostname": name}
	for _, key := range []string{"kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch"} {
		if value := textAt(s.own, "metadata", "labels", key); value != "" {
			labels[key] = value
		}
	}
	return object{"apiVersion": "v1", "kind": "Node", "metadata": object{"name": name, "labels": labels}}
}

// mirrorPod returns a mirror pod as a kubelet creates it.
func (s *state) mirrorPod() object {
	return object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{
			"name": "nrp-attack-" + s.node, "namespace": "kube-system",
			"annotations": object{
				mirrorAnnotation: "5f1d", "kubernetes.io/config.hash": "5f1d", "kubernetes.io/config.source": "file",
				"kubernetes.io/config.seen": "2026-11-24T08:00:00Z",
			},
			"ownerReferences": []any{object{
				"apiVersion": "v1", "kind": "Node", "name": s.node, "uid": textAt(s.own, "metadata", "uid"), "controller": true,
			}},
		},
		"spec": object{
			"nodeName": s.node, "containers": []any{object{"name": "c", "image": "registry.example.com/c"}},
		},
	}
}

// internalIP returns the first internal address of a Node.
func internalIP(node object) string {
	list, _ := lookUp(node, "status", "addresses").([]any)
	for _, element := range list {
		if address, _ := element.(object); textAt(address, "type") == "InternalIP" {
			return textAt(address, "address")
		}
	}
	return ""
}

// agentModel returns the model for attacks of a node agent: one without a cordoned Node, and with a taint on it.
func agentModel(node, account string) *state {
	s := model(node, false)
	s.account = account
	s.own = mergePatch(s.own, spec(object{"taints": []any{object{"key": "example.com/agent-not-ready", "effect": "NoSchedule"}}}))
	return s
}

// model returns the state against which policies are tried without a cluster: a cordoned and a plain Node cannot be the same, so the
// attacks that need the other one are not tried.
func model(node string, cordoned bool) *state {
	labels := func(name string) object {
		return object{
			"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
			"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
		}
	}
	newNode := func(name, uid, address string) object {
		return object{
			"apiVersion": "v1", "kind": "Node", "metadata": object{"name": name, "uid": uid, "labels": labels(name)},
			"spec": object{},
			"status": object{
				"capacity": object{"cpu": "8", "memory": "32Gi", "pods": "110"}, "allocatable": object{"cpu": "8", "memory": "32Gi", "pods": "110"},
				"addresses":       []any{object{"type": "InternalIP", "address": address}, object{"type": "Hostname", "address": name}},
				"conditions":      []any{object{"type": "Ready", "status": "True"}},
				"daemonEndpoints": object{"kubeletEndpoint": object{"Port": 10250}},
				"nodeInfo":        object{"architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.37.2"},
			},
		}
	}
	pod := func(node, name, phase string, meta object) object {
		return object{
			"apiVersion": "v1", "kind": "Pod", "metadata": mergePatch(object{
				"name": name, "namespace": "default", "uid": "33333333-3333-3333-3333-333333333333", "labels": object{"app": "web"},
			}, meta),
			"spec":   object{"nodeName": node, "containers": []any{object{"name": "c", "image": "registry.example.com/c"}}},
			"status": object{"phase": phase, "containerStatuses": []any{object{"name": "c"}}},
		}
	}
	s := &state{
		node:        node,
		own:         newNode(node, "11111111-1111-1111-1111-111111111111", "10.0.0.1"),
		otherObject: newNode(node+"-other", "22222222-2222-2222-2222-222222222222", "10.0.0.2"),
		pod:         pod(node, "web", "Running", nil), finished: pod(node, "done", "Succeeded", nil),
		jobPod:   pod(node, "job", "Running", object{"finalizers": []any{jobFinalizer}}),
		claim:    object{"metadata": object{"name": "data", "namespace": "default"}, "spec": object{}, "status": object{}},
		otherPod: pod(node+"-other", "elsewhere", "Running", nil),
	}
	if cordoned {
		s.own = mergePatch(s.own, object{"spec": object{"unschedulable": true}})
	}
	return s
}
