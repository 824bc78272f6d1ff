// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
)

// Write is a write as it was sent.
type Write struct {
	Operation   admissionv1.Operation
	Resource    string // plural, such as nodes, or with its group, such as leases.coordination.k8s.io
	Version     string // of the resource, such as v1
	Subresource string // such as status; empty for the resource itself
	Namespace   string // empty for nodes
	Name        string // empty where a name is generated
	DryRun      bool

	// Object and OldObject are the written and the stored object as JSON. Object is empty at DELETE, OldObject at CREATE, and
	// at DELETE by an API server before 1.15.
	Object    []byte
	OldObject []byte
	// Parts and OldParts are Object and OldObject as [ReadObject] splits them. Nil: they are split when they are needed.
	Parts, OldParts Parts
	// Options are the DeleteOptions of a deletion as JSON; empty for other operations.
	Options []byte

	// Gaps are the parts of a Node or a pod that are not known. Nil: the objects are whole.
	Gaps *Gaps
}

// View is what rules see of a Node or a pod that is written. A part of it is decoded when a rule first asks for it, and once for both
// objects if an update does not change it.
//
// A part that cannot be decoded has its zero value, and Err returns the error: no result that depends on the view may be used then.
// A View must not be used by several goroutines at the same time.
type View struct {
	write           *Write
	parts, oldParts Parts
	differences     differences

	node    *Node
	pod     *Pod
	options *DeleteOptions

	decoded, oldDecoded partSet
	room                valueBudget
	err                 error
}

var errNoObject = errors.New("the object is missing")

// Open makes the view of a write. It returns an error if an object is not well-formed, has a duplicate name or too many members, or if
// one that a creation or an update must carry is missing. Of resources other than nodes and pods, and of subresources of pods that do
// not have the pod, the view is empty. The write must not be changed while the view is in use.
func (v *View) Open(w *Write) error {
	*v = View{write: w, room: maxValues}
	if w.hasParts() {
		v.err = v.split()
	}
	return v.err
}

// Err returns the first error of decoding a part or the options, or nil.
func (v *View) Err() error { return v.err }

// hasParts reports whether the objects are Nodes or pods, which are split into parts.
func (w *Write) hasParts() bool {
	switch w.Resource {
	case "nodes":
		return true
	case "pods":
		switch w.Subresource {
		case "", "status", "ephemeralcontainers", "resize":
			return true
		}
	}
	return false
}

// split splits the objects, unless the caller has, and compares them at an update.
func (v *View) split() (err error) {
	w := v.write
	if w.Operation != admissionv1.Delete {
		if v.parts, err = splitOnce(w.Parts, w.Object); err != nil {
			return fmt.Errorf("object: %w", err)
		}
	}
	if w.Operation != admissionv1.Create {
		v.oldParts, err = splitOnce(w.OldParts, w.OldObject)
		if w.Operation == admissionv1.Delete && errors.Is(err, errNoObject) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("oldObject: %w", err)
		}
	}
	if v.parts != nil && v.oldParts != nil {
		v.differences = compare(v.oldParts, v.parts)
	}
	return nil
}

// splitOnce splits an object, unless it has been split.
func splitOnce(parts Parts, object []byte) (Parts, error) {
	if parts != nil {
		return parts, nil
	}
	return split(object)
}

// Node returns the Node that is written. It is empty if the write is not of a Node.
func (v *View) Node() *Node {
	if v.node == nil {
		v.node = &Node{}
		v.node.view = v
	}
	return v.node
}

// Pod returns the pod that is written. It is empty if the write is not of a pod, or of a subresource that does not have the pod.
func (v *View) Pod() *Pod {
	if v.pod == nil {
		v.pod = &Pod{}
		v.pod.view = v
	}
	return v.pod
}

// DeleteOptions returns the options of a deletion. They are empty for other operations.
func (v *View) DeleteOptions() *DeleteOptions {
	if v.options != nil {
		return v.options
	}
	v.options = &DeleteOptions{}
	if v.write == nil || v.write.Operation != admissionv1.Delete {
		return v.options
	}
	if g := v.write.Gaps; g != nil && g.options {
		g.askedOptions = true
	}
	options := v.write.Options
	if len(options) == 0 || bytes.Equal(options, []byte("null")) {
		return v.options
	}
	err := errTooManyValues
	if hasFewValues(options) {
		err = json.Unmarshal(options, v.options)
	}
	if err != nil {
		v.fail(fmt.Errorf("options: %w", err))
	}
	return v.options
}

// ManagedFields returns metadata.managedFields of the stored and the written object as they were sent. A missing one is nil.
func (v *View) ManagedFields() (old, updated jsontext.Value) {
	v.ask(missingOld, 1<<managedFields)
	v.ask(missingUpdated, 1<<managedFields)
	return v.oldParts.value(managedFields), v.parts.value(managedFields)
}

// Differences returns the parts in which the objects differ. At a creation they are all parts of the new object.
func (v *View) Differences() []Difference {
	return v.differencesIn(allParts)
}

// differencesIn is Differences for a caller that reads only some of the parts.
func (v *View) differencesIn(parts partSet) []Difference {
	v.askDifferences(parts)
	if !v.differences.known {
		return compare(v.oldParts, v.parts).parts
	}
	return v.differences.parts
}

// changes reports whether the write changes a part. Without two objects to compare, it changes each.
func (v *View) changes(id partID) bool {
	v.ask(missingChange, 1<<id)
	return !v.differences.known || v.differences.in.has(id)
}

// fail keeps the first error.
func (v *View) fail(err error) {
	if v.err == nil {
		v.err = err
	}
}

// Decode decodes a whole object. It returns an error if the object is missing, not well-formed, or has too many values.
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
