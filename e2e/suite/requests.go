// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Media types of the API.
const (
	JSONType       = "application/json"
	YAMLType       = "application/yaml"
	ProtobufType   = "application/vnd.kubernetes.protobuf"
	JSONPatch      = "application/json-patch+json"
	MergePatch     = "application/merge-patch+json"
	StrategicPatch = "application/strategic-merge-patch+json"
	ApplyPatch     = "application/apply-patch+yaml"
)

// Paths of collections.
const (
	NodesPath  = "/api/v1/nodes"
	PodsPath   = "/api/v1/namespaces/default/pods"
	LeasesPath = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
)

type text interface{ ~string | ~[]byte }

// PatchNode changes a Node with a merge patch.
func PatchNode[T text](node string, patch T) Request {
	return Request{Method: http.MethodPatch, Path: NodesPath + "/" + node, Type: MergePatch, Body: string(patch)}
}

// PatchNodeStatus changes a Node through its status with a merge patch.
func PatchNodeStatus[T text](node string, patch T) Request {
	return PatchStatus(NodesPath+"/"+node, patch)
}

// PatchStatus changes the object at a path through its status with a merge patch.
func PatchStatus[T text](path string, patch T) Request {
	return Request{Method: http.MethodPatch, Path: path + "/status", Type: MergePatch, Body: string(patch)}
}

// Create creates an object, given as JSON, in a collection.
func Create[T text](collection string, object T) Request {
	return Request{Method: http.MethodPost, Path: collection, Type: JSONType, Body: string(object)}
}

// Delete deletes the object at a path. The options are JSON, or empty.
func Delete(path, options string) Request {
	return Request{Method: http.MethodDelete, Path: path, Type: JSONType, Body: options}
}

// Evict evicts a pod of the namespace default.
func Evict(pod string) Request {
	return Create(PodsPath+"/"+pod+"/eviction",
		fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q}}`, pod))
}

// Strategic sends a patch as a strategic merge patch.
func Strategic(r Request) Request {
	r.Type = StrategicPatch
	return r
}

// Finalizer is a merge patch that adds a finalizer, which no kubelet does.
const Finalizer = `{"metadata":{"finalizers":["example.com/stay"]}}`

// AddFinalizer is a write to a Node that no stock kubelet sends and that the policies of tests deny.
func AddFinalizer(node string) Request { return PatchNodeStatus(node, Finalizer) }

// AnnotateOwnNode is a write to the Node itself that a kubelet may make, and about which the API server asks with failurePolicy
// Fail.
func AnnotateOwnNode(node string) Request {
	return PatchNode(node, `{"metadata":{"annotations":{"volumes.kubernetes.io/controller-managed-attach-detach":"true"}}}`)
}

// AnnotateAsK3s updates a Node as the agent of k3s does at each start, with the kubelet's credential: it replaces the whole object.
// Source: k3s-io/k3s pkg/agent/run.go, pkg/nodeconfig/nodeconfig.go.
func AnnotateAsK3s(t testing.TB, node *corev1.Node, address string) Request {
	node = node.DeepCopy()
	node.APIVersion, node.Kind = "v1", "Node"
	for key, value := range map[string]string{
		"k3s.io/hostname": node.Name, "k3s.io/internal-ip": address, "k3s.io/node-args": `["agent"]`, "k3s.io/node-env": "{}",
	} {
		metav1.SetMetaDataAnnotation(&node.ObjectMeta, key, value)
	}
	return Request{Method: http.MethodPut, Path: NodesPath + "/" + node.Name, Type: JSONType, Body: string(JSON(t, node))}
}

// Heartbeat is the heartbeat of a kubelet.
func Heartbeat(node string, at time.Time) Request {
	const patch = `{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":%q}]}}`
	return Strategic(PatchNodeStatus(node, fmt.Sprintf(patch, at.UTC().Format(time.RFC3339))))
}

// RegisterNode creates a Node with these labels.
func RegisterNode(node string, labels map[string]string) Request {
	return Create(NodesPath, encode(map[string]any{
		"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": node, "labels": labels},
	}))
}

// CreateLease creates the lease of a kubelet.
func CreateLease(node string) Request {
	return Create(LeasesPath, fmt.Sprintf(`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":%q}}`, node))
}

// RenewLease renews the lease of a kubelet.
func RenewLease(node string, at time.Time) Request {
	return Request{
		Method: http.MethodPatch, Path: LeasesPath + "/" + node, Type: MergePatch,
		Body: fmt.Sprintf(`{"spec":{"renewTime":%q}}`, at.UTC().Format("2006-01-02T15:04:05.000000Z")),
	}
}

// MirrorPod is a mirror pod as a kubelet creates it for a static pod of a file.
type MirrorPod struct {
	Namespace, Name string
	Labels          map[string]string
	Node, NodeUID   string
}

// Create creates the mirror pod.
func (p *MirrorPod) Create() Request {
	return Create("/api/v1/namespaces/"+p.Namespace+"/pods", encode(p.Object()))
}

// Object is the mirror pod, to which tests add what they need.
func (p *MirrorPod) Object() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{
			"name": p.Name, "namespace": p.Namespace, "labels": p.Labels,
			"annotations": map[string]string{
				"kubernetes.io/config.mirror": "1", "kubernetes.io/config.hash": "1", "kubernetes.io/config.source": "file",
			},
			"ownerReferences": []any{map[string]any{
				"apiVersion": "v1", "kind": "Node", "name": p.Node, "uid": p.NodeUID, "controller": true,
			}},
		},
		"spec": map[string]any{
			"nodeName": p.Node, "containers": []any{map[string]any{"name": "c", "image": "c"}},
			"tolerations": []any{map[string]any{"operator": "Exists", "effect": "NoExecute"}},
		},
	}
}

// encode encodes a value of maps, lists and text, which cannot fail.
func encode(v map[string]any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}
