package policy

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Request is one write by a kubelet.
type Request struct {
	// NodeName is the node identity in the kubelet's credential. It is never empty.
	NodeName    string
	Operation   admissionv1.Operation
	Resource    string // plural, such as nodes
	Subresource string // such as status; empty for the resource itself
	Namespace   string // empty for nodes
	Name        string // empty where a name is generated
	DryRun      bool

	// Object and OldObject are the written and the stored object as JSON. Object is empty at DELETE, OldObject at CREATE.
	Object    []byte
	OldObject []byte

	// The parts of Object and OldObject that rules look at, set by Decode; which of them are set depends on Resource and
	// Operation.
	Node, OldNode *Node
	Pod, OldPod   *Pod

	// Unjudgeable says why the objects could not be read. If it is set, each policy that would have judged the write has one
	// violation of rule Unverified.
	Unjudgeable string

	// Facts answers look-ups. Nil: every look-up fails.
	Facts Facts
}

// Metadata is the part of an object's metadata that rules look at.
type Metadata struct {
	Name              string                  `json:"name"`
	GenerateName      string                  `json:"generateName"`
	Namespace         string                  `json:"namespace"`
	UID               types.UID               `json:"uid"`
	Labels            map[string]string       `json:"labels"`
	Annotations       map[string]string       `json:"annotations"`
	Finalizers        []string                `json:"finalizers"`
	OwnerReferences   []metav1.OwnerReference `json:"ownerReferences"`
	DeletionTimestamp *metav1.Time            `json:"deletionTimestamp"`
}

// Node is the part of a Node that rules look at.
type Node struct {
	Metadata `json:"metadata"`
	Spec     NodeSpec `json:"spec"`
}

// NodeSpec is the part of a Node's spec that rules look at.
type NodeSpec struct {
	Taints        []corev1.Taint `json:"taints"`
	Unschedulable bool           `json:"unschedulable"`
}

// Pod is the part of a Pod that rules look at.
type Pod struct {
	Metadata `json:"metadata"`
	Spec     PodSpec `json:"spec"`
}

// PodSpec is the part of a Pod's spec that rules look at.
type PodSpec struct {
	NodeName string `json:"nodeName"`
}

var errNoObject = errors.New("the object is missing")

// Decode sets Node, OldNode, Pod and OldPod from Object and OldObject. It decodes only what rules look at, in one pass, and
// returns an error if that is not well-formed, has a duplicate name, or if an object that the operation must carry is missing.
// Other resources than nodes and pods are left as they are.
func (r *Request) Decode() error {
	switch r.Resource {
	case "nodes":
		return decodeBoth(r, &r.Node, &r.OldNode)
	case "pods":
		if r.Subresource == "" || r.Subresource == "status" {
			return decodeBoth(r, &r.Pod, &r.OldPod)
		}
	}
	return nil
}

func decodeBoth[T any](r *Request, object, old **T) error {
	if r.Operation != admissionv1.Delete {
		if err := decode(r.Object, object); err != nil {
			return fmt.Errorf("object: %w", err)
		}
	}
	if r.Operation != admissionv1.Create {
		if err := decode(r.OldObject, old); err != nil {
			return fmt.Errorf("oldObject: %w", err)
		}
	}
	return nil
}

func decode[T any](raw []byte, into **T) error {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return errNoObject
	}
	*into = new(T)
	return json.Unmarshal(raw, *into)
}
