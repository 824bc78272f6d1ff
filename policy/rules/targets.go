// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/policy"
)

// The kinds of writes that rules evaluate.

func target(resource, subresource string, operations ...admissionv1.Operation) policy.Target {
	return policy.Target{Resource: resource, Subresource: subresource, Operations: operations}
}

// nodeWrites are the writes in which a kubelet can set a Node's metadata. A stock kubelet writes it at registration and
// afterwards only through nodes/status.
func nodeWrites() []policy.Target {
	return []policy.Target{
		target("nodes", "", admissionv1.Create, admissionv1.Update), target("nodes", "status", admissionv1.Update),
	}
}

// allNodeWrites are nodeWrites and the deletions of Nodes.
func allNodeWrites() []policy.Target {
	return []policy.Target{
		target("nodes", "", admissionv1.Create, admissionv1.Update, admissionv1.Delete),
		target("nodes", "status", admissionv1.Update),
	}
}

func nodeRegistrations() []policy.Target {
	return []policy.Target{target("nodes", "", admissionv1.Create)}
}

func nodeUpdates() []policy.Target { return []policy.Target{target("nodes", "", admissionv1.Update)} }

// nodeSpecWrites are the writes in which a kubelet can set a Node's spec: the API server drops it from nodes/status.
func nodeSpecWrites() []policy.Target {
	return []policy.Target{target("nodes", "", admissionv1.Create, admissionv1.Update)}
}

// nodeStatusWrites are the writes in which a kubelet can set a Node's status: the API server drops it from updates of nodes.
func nodeStatusWrites() []policy.Target {
	return []policy.Target{target("nodes", "", admissionv1.Create), target("nodes", "status", admissionv1.Update)}
}

// podCreations are the creations of pods. A kubelet creates mirror pods only.
func podCreations() []policy.Target { return []policy.Target{target("pods", "", admissionv1.Create)} }

// staticPodKeepsRunning is the note on the creation of a mirror pod: a denial does not stop the static pod.
func staticPodKeepsRunning(r *policy.Request) string {
	if r.Resource != "pods" || r.Subresource != "" || r.Operation != admissionv1.Create {
		return ""
	}
	return "the static pod itself keeps running"
}

func podStatusWrites() []policy.Target {
	return []policy.Target{target("pods", "status", admissionv1.Update)}
}

func podDeletions() []policy.Target { return []policy.Target{target("pods", "", admissionv1.Delete)} }

func podEvictions() []policy.Target {
	return []policy.Target{target("pods", "eviction", admissionv1.Create)}
}

// existingPodWrites are the writes of existing pods.
func existingPodWrites() []policy.Target {
	return []policy.Target{
		target("pods", "status", admissionv1.Update), target("pods", "", admissionv1.Delete),
		target("pods", "eviction", admissionv1.Create),
	}
}
