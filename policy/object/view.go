// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"
)

// Write is what one write carries: its kind, and the objects as JSON.
type Write struct {
	Operation   admissionv1.Operation
	Resource    string // plural, such as nodes, or with its group, such as leases.coordination.k8s.io
	Version     string // of the resource, such as v1
	Subresource string // such as status; empty for the resource itself

	// Object and OldObject are the written and the stored object as JSON. Object is empty at DELETE, OldObject at CREATE, and
	// at DELETE by an API server before 1.15.
	Object    []byte
	OldObject []byte
	// Options are the DeleteOptions of a deletion as JSON; empty for other operations.
	Options []byte
}

// View is what rules see of the objects of a write.
type View struct {
	// The parts of the written and the stored object that rules look at, set by Decode; which of them are set depends on the
	// resource and the operation.
	Node, OldNode *Node
	Pod, OldPod   *Pod
	DeleteOptions DeleteOptions

	// Parts and OldParts are the parts of both objects, if whoever made the view has read them; Decode sets them for nodes and
	// pods otherwise.
	Parts, OldParts Parts

	differences differences
}

var errNoObject = errors.New("the object is missing")

// Decode sets Node, OldNode, Pod and OldPod from the objects of a write, with the wanted parts. It returns an error if an object is
// not well-formed, has a duplicate name, or if one that a creation or an update must carry is missing. Other resources than nodes
// and pods are left as they are.
//
// At an update, fields that rules only compare, such as a Node's images, stay empty in both objects where they are the same in
// both.
func (v *View) Decode(w Write, wanted PartSet) error {
	switch {
	case !w.hasParts():
		return nil
	case w.Resource == "nodes":
		return decodeObjects(v, w, wanted, &v.Node, &v.OldNode)
	}
	return errors.Join(decodeObjects(v, w, wanted, &v.Pod, &v.OldPod), v.decodeOptions(w))
}

// hasParts reports whether the objects are Nodes or pods, of which rules look at parts.
func (w Write) hasParts() bool {
	return w.Resource == "nodes" || w.Resource == "pods" && (w.Subresource == "" || w.Subresource == "status")
}

// Changes reports whether an update changes one of the parts. It does if the objects have not been compared.
func (v *View) Changes(parts PartSet) bool {
	return !v.differences.known || parts&v.differences.in != 0
}

// Differences are the parts in which the objects differ. At a creation they are all parts of the new object.
func (v *View) Differences() []Difference {
	if !v.differences.known {
		return compare(v.OldParts, v.Parts).parts
	}
	return v.differences.parts
}

// Decode decodes a whole object.
func Decode[T any](raw []byte, into **T) error {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return errNoObject
	}
	if !hasFewValues(raw) {
		return errTooManyValues
	}
	*into = new(T)
	return Unmarshal(raw, *into)
}

func (v *View) decodeOptions(w Write) error {
	if w.Operation != admissionv1.Delete || len(w.Options) == 0 || bytes.Equal(w.Options, []byte("null")) {
		return nil
	}
	if !hasFewValues(w.Options) {
		return fmt.Errorf("options: %w", errTooManyValues)
	}
	if err := json.Unmarshal(w.Options, &v.DeleteOptions); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	return nil
}
