package policy

import (
	"errors"

	"k8s.io/apimachinery/pkg/types"
)

// Facts answers look-ups about objects that a write does not carry. Implementations must be safe for concurrent use and must
// answer within the time budget of the caller; what cannot be answered is an error, never a guess.
type Facts interface {
	// Node returns the metadata of a stored Node, and false if there is none. The caller must not change what it returns.
	Node(name string) (*Metadata, bool, error)
	// Pod returns a stored pod, of which at least metadata and spec.nodeName are set, and false if there is none. The caller
	// must not change what it returns.
	Pod(namespace, name string) (*Pod, bool, error)
}

// StaticFacts are Facts that are all known beforehand, for judging without an API server.
type StaticFacts struct {
	Nodes map[string]*Metadata // by name
	Pods  map[types.NamespacedName]*Pod
}

// Node returns a Node of the map. It never fails.
func (f StaticFacts) Node(name string) (*Metadata, bool, error) {
	node, found := f.Nodes[name]
	return node, found, nil
}

// Pod returns a pod of the map. It never fails.
func (f StaticFacts) Pod(namespace, name string) (*Pod, bool, error) {
	pod, found := f.Pods[types.NamespacedName{Namespace: namespace, Name: name}]
	return pod, found, nil
}

var errNoFacts = errors.New("no look-ups are available")

// node looks a Node up, and fails if the request has no Facts.
func (r *Request) node(name string) (*Metadata, bool, error) {
	if r.Facts == nil {
		return nil, false, errNoFacts
	}
	return r.Facts.Node(name)
}

// pod looks a pod up, and fails if the request has no Facts.
func (r *Request) pod(namespace, name string) (*Pod, bool, error) {
	if r.Facts == nil {
		return nil, false, errNoFacts
	}
	return r.Facts.Pod(namespace, name)
}
