package policy

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
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

	// The parts of Object and OldObject that rules look at, set by Decode; which of them are set depends on Resource and
	// Operation.
	Node, OldNode *Node
	Pod, OldPod   *Pod
	DeleteOptions DeleteOptions

	// Parts and OldParts are the parts of Object and OldObject, if whoever made the request has read them; Decode sets them
	// for nodes and pods otherwise.
	Parts, OldParts Parts

	// Options are the DeleteOptions of a deletion as JSON; empty for other operations.
	Options []byte

	// Unjudgeable says why the objects could not be read. If it is set, each policy that would have judged the write has one
	// violation of rule Unverified.
	Unjudgeable string

	// Facts answers look-ups. Nil: every look-up fails.
	Facts Facts
	// Clock says when the time to evaluate the write is over. Nil: it never is.
	Clock Clock

	differences differences
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

var errNoObject = errors.New("the object is missing")

// Decode sets Node, OldNode, Pod and OldPod from Object and OldObject, with everything that any rule looks at. It returns an
// error if an object is not well-formed, has a duplicate name, or if one that a creation or an update must carry is missing. Other
// resources than nodes and pods are left as they are.
//
// At an update, fields that rules only compare, such as a Node's images, stay empty in both objects where they are the same in
// both.
func (r *Request) Decode() error { return r.decode(allParts) }

// decode is Decode for the wanted parts.
func (r *Request) decode(wanted partSet) error {
	switch {
	case !r.hasParts():
		return nil
	case r.Resource == "nodes":
		return decodeObjects(r, wanted, &r.Node, &r.OldNode)
	}
	return errors.Join(decodeObjects(r, wanted, &r.Pod, &r.OldPod), r.decodeOptions())
}

// hasParts reports whether the objects are Nodes or pods, of which rules look at parts.
func (r *Request) hasParts() bool {
	return r.Resource == "nodes" || r.Resource == "pods" && (r.Subresource == "" || r.Subresource == "status")
}

func decode[T any](raw []byte, into **T) error {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return errNoObject
	}
	if !hasFewValues(raw) {
		return errTooManyValues
	}
	*into = new(T)
	return Unmarshal(raw, *into)
}

func (r *Request) decodeOptions() error {
	if r.Operation != admissionv1.Delete || len(r.Options) == 0 || bytes.Equal(r.Options, []byte("null")) {
		return nil
	}
	if !hasFewValues(r.Options) {
		return fmt.Errorf("options: %w", errTooManyValues)
	}
	if err := json.Unmarshal(r.Options, &r.DeleteOptions); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	return nil
}
