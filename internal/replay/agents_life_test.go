// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay_test

import "strconv"

// agent returns a request of a node agent: with a token that names its node, another one, several or none, or with a user name that ends in
// the name of a node.
func (w *world) agent(node string) sent {
	switch w.random.IntN(8) {
	case 0:
		return sent{user: controller}
	case 1:
		return sent{user: controller, nodes: []string{"worker-1", "worker-2"}}
	case 2:
		return sent{user: controller, nodes: []string{pick(w, "", "worker-2", "worker-3")}}
	case 3:
		return sent{user: ovn + pick(w, node, node, "worker-2", "")}
	}
	return sent{user: controller, nodes: []string{node}}
}

func (w *world) agentNodeChange(node string) {
	s := w.agent(node)
	s.verb, s.resource, s.name, s.dryRun = pick(w, "merge", "strategic"), "nodes", node, w.chance(40)
	s.body = pick(w,
		fields{"metadata": fields{"labels": w.label()}},
		fields{"metadata": fields{"annotations": w.label()}},
		fields{"metadata": fields{"finalizers": pick[any](w, []any{"example.com/stay"}, nil)}},
		fields{"spec": fields{"taints": pick[any](w, []any{fields{"key": "dedicated", "effect": "NoSchedule"}}, nil)}},
		fields{"spec": fields{"unschedulable": pick[any](w, true, nil)}},
	)
	if w.chance(3) {
		s.sub = "status"
		s.body = fields{"status": fields{"conditions": []any{condition("example.com/Problem", pick(w, "True", "False"), w.clock)}}}
	}
	w.send(s)
}

func (w *world) agentPodChange(node string) {
	pod, found := w.onPod(node)
	if !found {
		return
	}
	s := w.agent(node)
	s.verb, s.resource, s.namespace, s.name = pick(w, "merge", "strategic"), "pods", "default", pod
	s.body = pick(w,
		fields{"metadata": fields{"annotations": fields{"example.com/x": pick[any](w, "a", nil)}}},
		fields{"metadata": fields{"labels": fields{"app": pick(w, "a", "b")}}},
		fields{"spec": fields{"activeDeadlineSeconds": w.random.IntN(3) + 1}},
	)
	switch w.random.IntN(4) {
	case 0:
		s.sub, s.body = "status", fields{"status": fields{"conditions": []any{podCondition("example.com/gate", pick(w, "True", "False"))}}}
	case 1:
		s.verb, s.body = "delete", fields{"kind": "DeleteOptions", "gracePeriodSeconds": 0}
	}
	w.send(s)
}

// agentSlice creates, changes or deletes the ResourceSlice of a node.
func (w *world) agentSlice(node string) {
	s := w.agent(node)
	s.resource, s.name, s.dryRun = slicesResource, "slice-"+strconv.Itoa(w.random.IntN(3)), w.chance(40)
	of := pick(w, node, node, "worker-2")
	stored := w.objects[slicesResource+"//"+s.name]
	switch {
	case stored == nil:
		s.verb = "create"
		s.body = fields{"metadata": fields{"name": s.name}, "spec": fields{"nodeName": of, "driver": "d"}}
	case w.chance(3):
		s.verb, s.body = "delete", fields{"kind": "DeleteOptions"}
	case w.chance(2):
		s.verb = "merge"
		s.body = fields{"spec": pick(w, fields{"nodeName": of}, fields{"pool": fields{"generation": w.random.IntN(9)}})}
	default:
		var body fields
		mustUnmarshal(stored, &body)
		body["spec"].(fields)["nodeName"] = of
		if w.chance(2) {
			delete(body["metadata"].(fields), "resourceVersion")
		}
		s.verb, s.body = "update", body
	}
	w.send(s)
}
