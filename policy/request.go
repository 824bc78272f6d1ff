// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"

	"noderestriction.plus/policy/object"
)

// Request is one write by a kubelet.
type Request struct {
	// NodeName is the node identity in the kubelet's credential. It is never empty.
	NodeName string
	// InNodesGroup says that the credential is also in the group that the Node authorizer and the NodeRestriction plugin ask
	// of a kubelet.
	InNodesGroup bool
	// User is the user of the credential, for questions to the cluster's authorizers.
	User authenticationv1.UserInfo

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

	// View is what rules see of Object, OldObject and Options; Decode sets it.
	object.View

	// Options are the DeleteOptions of a deletion as JSON; empty for other operations.
	Options []byte

	// Unjudgeable says why the objects could not be read. If it is set, each policy that would have judged the write has one
	// violation of rule Unverified.
	Unjudgeable string

	// Facts answers look-ups. Nil: every look-up fails.
	Facts Facts
	// Clock says when the time to evaluate the write is over. Nil: it never is.
	Clock Clock
}

// Clock says when the time to evaluate a write is over. This package reads no clock itself.
type Clock interface {
	// Over reports whether the time is over. Once it is, it stays so.
	Over() bool
}

// OutOfTime is the detail of the violation that stands for what was not evaluated in time.
const OutOfTime = "the write could not be evaluated in time"

// outOfTime reports whether the time to evaluate the write is over. Loops over what a sender chose ask now and then.
func (r *Request) outOfTime() bool { return r.Clock != nil && r.Clock.Over() }

// written is the write itself, as [View] reads it.
func (r *Request) written() object.Write {
	return object.Write{
		Operation: r.Operation, Resource: r.Resource, Version: r.Version, Subresource: r.Subresource,
		Object: r.Object, OldObject: r.OldObject, Options: r.Options,
	}
}

// Decode sets View, with everything that any rule looks at. Its errors are those of [View.Decode].
func (r *Request) Decode() error { return r.View.Decode(r.written(), object.AllParts) }
