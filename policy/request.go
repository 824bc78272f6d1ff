// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"github.com/go-json-experiment/json/jsontext"
	authenticationv1 "k8s.io/api/authentication/v1"

	"noderestriction.plus/policy/object"
)

// Write is a write as it was sent.
type Write = object.Write

// Request is one write by a kubelet or a node agent, with what is needed to evaluate it. Evaluate does not change the exported fields.
type Request struct {
	// Subject is the client that writes. The zero value is a kubelet.
	Subject Subject
	// NodeName is the node identity in the client's credential. It is never empty for a kubelet. For a node agent it is empty if the
	// credential names no node, or more than one.
	NodeName string
	// InNodesGroup says that the user is also in the group system:nodes, which the Node authorizer and the NodeRestriction plugin
	// require.
	InNodesGroup bool
	// User is the user of the credential, for the cluster's authorizers.
	User authenticationv1.UserInfo

	// Write is what the kubelet writes.
	Write
	// Undecodable is why the caller could not read the objects, for the client; empty if it could. Otherwise each policy that would
	// evaluate the write has one violation of rule Unverified.
	Undecodable string

	// Facts answers lookups. Nil: every lookup fails.
	Facts Facts
	// Clock says when the time to evaluate the write is over. Nil: it never is. Rules do not ask it.
	Clock Clock

	view object.View // opened by Evaluate
}

// namesNoNode reports whether the client is a node agent whose credential names no node.
func (r *Request) namesNoNode() bool { return r.NodeName == "" && !r.Subject.IsKubelet() }

// Clock bounds the time to evaluate a write.
type Clock interface {
	// Over reports whether the time is over. Once it is, it stays so.
	Over() bool
}

// OutOfTime is the detail of a violation of rule Unverified for rules that were not evaluated in time.
const OutOfTime = "the write could not be evaluated in time"

func (r *Request) outOfTime() bool { return r.Clock != nil && r.Clock.Over() }

// Node returns the Node that is written. It is empty if the write is not of a Node.
func (r *Request) Node() *object.Node { return r.view.Node() }

// WrittenNode returns the name of the Node that is written. The requests of a deletion of a collection have no name: the stored object has.
func (r *Request) WrittenNode() string {
	if r.Name != "" {
		return r.Name
	}
	name := r.Node().Name()
	if r.Node().IsStored() {
		return name.Old()
	}
	return name.New()
}

// Pod returns the pod that is written. It is empty if the write is not of a pod, or of a subresource that does not have the pod.
func (r *Request) Pod() *object.Pod { return r.view.Pod() }

// ManagedFields returns metadata.managedFields of the stored and the written Node or pod as they were sent. A missing one is nil.
func (r *Request) ManagedFields() (old, updated jsontext.Value) { return r.view.ManagedFields() }

// Differences returns the parts in which the stored and the written Node or pod differ. At a creation they are all parts of the object.
func (r *Request) Differences() []object.Difference { return r.view.Differences() }

// UnknownChanges returns the paths of the fields that differ between the stored and the written Node or pod, and that its shape does not
// have, sorted, each once. It returns an error if a part is not well-formed, or [object.ErrTooManyUnknown].
func (r *Request) UnknownChanges(of *object.Shape) ([]string, error) {
	return r.view.UnknownChanges(of)
}

// DeleteOptions returns the options of a deletion. They are empty for other operations.
func (r *Request) DeleteOptions() *object.DeleteOptions { return r.view.DeleteOptions() }
