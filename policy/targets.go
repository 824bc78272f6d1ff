package policy

import admissionv1 "k8s.io/api/admission/v1"

// nodeWrites are the writes in which a kubelet can set a Node's metadata. A stock kubelet writes it at registration and
// afterwards only through nodes/status.
func nodeWrites() []Target {
	return []Target{
		{Resource: "nodes", Operations: []admissionv1.Operation{admissionv1.Create, admissionv1.Update}},
		{Resource: "nodes", Subresource: "status", Operations: []admissionv1.Operation{admissionv1.Update}},
	}
}

// nodeSpecWrites are the writes in which a kubelet can set a Node's spec: the API server drops it from nodes/status.
func nodeSpecWrites() []Target {
	return []Target{{Resource: "nodes", Operations: []admissionv1.Operation{admissionv1.Create, admissionv1.Update}}}
}

// podCreations are the creations of pods. A kubelet creates mirror pods only.
func podCreations() []Target {
	return []Target{{Resource: "pods", Operations: []admissionv1.Operation{admissionv1.Create}}}
}

// podStatusWrites are the updates of pods/status.
func podStatusWrites() []Target {
	return []Target{{Resource: "pods", Subresource: "status", Operations: []admissionv1.Operation{admissionv1.Update}}}
}

// oldNode is the metadata and spec before the write; at registration those of an empty Node.
func (r *Request) oldNode() *Node {
	if r.OldNode == nil {
		return &Node{}
	}
	return r.OldNode
}
