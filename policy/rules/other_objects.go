// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// evaluateObjects decodes the objects of a resource that is neither a Node nor a pod, and calls a check with them. At CREATE old is an
// empty object.
func evaluateObjects[T any](r *policy.Request, check func(old, updated *T) []policy.Violation) []policy.Violation {
	updated, ok := decoded[T](r.Object)
	if !ok {
		return malformed("")
	}
	old := new(T)
	if r.Operation != admissionv1.Create {
		if old, ok = decoded[T](r.OldObject); !ok {
			return malformed("")
		}
	}
	return check(old, updated)
}

// decoded decodes an object of a resource that is neither a Node nor a pod. It returns false if the object is missing or not well-formed.
func decoded[T any](raw []byte) (*T, bool) {
	var into *T
	err := object.Decode(raw, &into)
	return into, err == nil
}

// malformed returns the violation for a field that cannot be decoded. An empty field stands for the whole object.
func malformed(field string) []policy.Violation { return onlyViolation(field, "must be well-formed") }

// withMetadata is an object of any kind, with its metadata only.
type withMetadata struct {
	object.Metadata `json:"metadata"`
}

// tokenRequest is a TokenRequest, as far as rules read it.
type tokenRequest struct {
	Spec struct {
		ExpirationSeconds int64 `json:"expirationSeconds"`
	} `json:"spec"`
}

// event is an Event of the core group or of events.k8s.io, as far as rules read it.
type event struct {
	InvolvedObject objectReference `json:"involvedObject"`
	Regarding      objectReference `json:"regarding"`
}

type objectReference struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Namespace  string    `json:"namespace"`
	Name       string    `json:"name"`
	UID        types.UID `json:"uid"`
}

// subject returns the object that the event is about.
func (e *event) subject() objectReference {
	if e.Regarding != (objectReference{}) {
		return e.Regarding
	}
	return e.InvolvedObject
}

// ownedByNode reports whether o refers to the named Node.
func ownedByNode(o *metav1.OwnerReference, name string) bool {
	return o.APIVersion == "v1" && o.Kind == "Node" && o.Name == name
}

// checkOwnedByNode checks that the kubelet's Node is the only owner of a created pod.
func checkOwnedByNode(r *policy.Request, owners []metav1.OwnerReference) []policy.Violation {
	const at = "metadata.ownerReferences"
	if len(owners) != 1 || !ownedByNode(&owners[0], r.NodeName) {
		return onlyViolation(at, "must be owned by this Node alone")
	}
	owner := &owners[0]
	if owner.Controller == nil || !*owner.Controller {
		return onlyViolation(at, "must have this Node as controller")
	}
	if owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion {
		return onlyViolation(at, "must not block the deletion of the Node")
	}
	node, found, err := r.LookUpNode(r.NodeName)
	switch {
	case err != nil:
		return onlyViolation(at, "must have the UID of the Node, but the Node could not be looked up")
	case !found:
		return onlyViolation(at, "must be owned by a Node that exists")
	case owner.UID != node.UID:
		return onlyViolation(at, "must have the UID of the Node")
	}
	return nil
}
