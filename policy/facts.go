// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/policy/object"
)

// Facts answers lookups of objects that a write does not contain. Implementations must be safe for concurrent use. They must answer
// within the time of the caller, and return an error if they do not know the answer. Names are not empty, and the caller must not change
// what is returned.
type Facts interface {
	// Node returns the metadata of a stored Node, and false if it does not exist.
	Node(name string) (*object.Metadata, bool, error)
	// NodeObject returns a stored Node with its spec and status, and false if it does not exist.
	NodeObject(name string) (*corev1.Node, bool, error)
	// NodesAt returns the names of the Nodes that report an address, an IP without a zone in its canonical form.
	NodesAt(address string) ([]string, error)
	// NodesOf returns the names of the Nodes with a provider ID of the machine that [MachineOf] has returned.
	NodesOf(machine string) ([]string, error)
	// Pod returns a stored pod, and false if it does not exist.
	Pod(namespace, name string) (*corev1.Pod, bool, error)
	// ServiceAccount returns the metadata of a stored ServiceAccount, and false if it does not exist.
	ServiceAccount(namespace, name string) (*object.Metadata, bool, error)
	// PersistentVolumeClaim returns a stored claim, and false if it does not exist.
	PersistentVolumeClaim(namespace, name string) (*corev1.PersistentVolumeClaim, bool, error)
	// PersistentVolume returns a stored volume, and false if it does not exist.
	PersistentVolume(name string) (*corev1.PersistentVolume, bool, error)
	// CSIDriver returns a stored CSIDriver, and false if it does not exist.
	CSIDriver(name string) (*storagev1.CSIDriver, bool, error)
	// CSIDriverNames returns the names of all stored CSIDrivers.
	CSIDriverNames() ([]string, error)
	// Authorized reports whether the authorizers of the cluster allow what the spec describes.
	Authorized(access *authorizationv1.SubjectAccessReviewSpec) (bool, error)
	// APIAudiences returns the audiences of the API server, which it sets in a request for a token without audiences. It returns
	// no audiences if the API server has set none.
	APIAudiences() ([]string, error)
}

// StaticFacts are Facts from maps, to evaluate writes without an API server. They never fail.
type StaticFacts struct {
	Nodes                  map[string]*object.Metadata // by name
	NodeObjects            map[string]*corev1.Node     // by name
	Pods                   map[types.NamespacedName]*corev1.Pod
	ServiceAccounts        map[types.NamespacedName]*object.Metadata
	PersistentVolumeClaims map[types.NamespacedName]*corev1.PersistentVolumeClaim
	PersistentVolumes      map[string]*corev1.PersistentVolume // by name
	CSIDrivers             map[string]*storagev1.CSIDriver     // by name
	// Allows reports whether the authorizers of the cluster allow an access. Nil: they allow nothing.
	Allows func(access *authorizationv1.SubjectAccessReviewSpec) bool
}

// Node returns a Node of Nodes.
func (f StaticFacts) Node(name string) (*object.Metadata, bool, error) {
	node, found := f.Nodes[name]
	return node, found, nil
}

// NodeObject returns a Node of NodeObjects.
func (f StaticFacts) NodeObject(name string) (*corev1.Node, bool, error) {
	node, found := f.NodeObjects[name]
	return node, found, nil
}

// NodesAt searches NodeObjects.
func (f StaticFacts) NodesAt(address string) ([]string, error) {
	var names []string
	for name, node := range f.NodeObjects {
		if slices.Contains(AddressesOf(node), address) {
			names = append(names, name)
		}
	}
	return names, nil
}

// NodesOf searches NodeObjects.
func (f StaticFacts) NodesOf(machine string) ([]string, error) {
	var names []string
	for name, node := range f.NodeObjects {
		if node.Spec.ProviderID != "" && MachineOf(node.Spec.ProviderID) == machine {
			names = append(names, name)
		}
	}
	return names, nil
}

// MachineOf returns a text that is the same for all provider IDs of a machine. Names in Azure are the same in any case. The cloud
// controllers of AWS and OpenStack find an instance by the last segment, without its zone or region, and need no scheme.
func MachineOf(providerID string) string {
	id := strings.ToLower(providerID)
	scheme, path, found := strings.Cut(id, "://")
	switch {
	case !found:
		path = id
	case scheme != "aws" && scheme != "openstack":
		return id
	}
	if u, err := url.Parse("//host/" + path); err == nil {
		path = u.Path // without a query or escapes
	}
	path = strings.TrimRight(path, "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// AddressesOf returns the IP addresses that a Node reports, in their canonical form.
func AddressesOf(node *corev1.Node) []string {
	var addresses []string
	for _, a := range node.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil {
			addresses = append(addresses, ip.Unmap().WithZone("").String())
		}
	}
	return addresses
}

// Pod returns a pod of Pods.
func (f StaticFacts) Pod(namespace, name string) (*corev1.Pod, bool, error) {
	pod, found := f.Pods[types.NamespacedName{Namespace: namespace, Name: name}]
	return pod, found, nil
}

// ServiceAccount returns the metadata of a ServiceAccount of ServiceAccounts.
func (f StaticFacts) ServiceAccount(namespace, name string) (*object.Metadata, bool, error) {
	account, found := f.ServiceAccounts[types.NamespacedName{Namespace: namespace, Name: name}]
	return account, found, nil
}

// PersistentVolumeClaim returns a claim of PersistentVolumeClaims.
func (f StaticFacts) PersistentVolumeClaim(namespace, name string) (*corev1.PersistentVolumeClaim, bool, error) {
	claim, found := f.PersistentVolumeClaims[types.NamespacedName{Namespace: namespace, Name: name}]
	return claim, found, nil
}

// PersistentVolume returns a volume of PersistentVolumes.
func (f StaticFacts) PersistentVolume(name string) (*corev1.PersistentVolume, bool, error) {
	volume, found := f.PersistentVolumes[name]
	return volume, found, nil
}

// CSIDriver returns a CSIDriver of CSIDrivers.
func (f StaticFacts) CSIDriver(name string) (*storagev1.CSIDriver, bool, error) {
	driver, found := f.CSIDrivers[name]
	return driver, found, nil
}

// CSIDriverNames returns the names of CSIDrivers.
func (f StaticFacts) CSIDriverNames() ([]string, error) {
	return slices.Collect(maps.Keys(f.CSIDrivers)), nil
}

// Authorized calls Allows.
func (f StaticFacts) Authorized(access *authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	return f.Allows != nil && f.Allows(access), nil
}

// APIAudiences returns no audiences, because no API server has changed the write.
func (f StaticFacts) APIAudiences() ([]string, error) { return nil, nil }

var errNoFacts = errors.New("no lookups are available")

// facts returns an error if there are no Facts.
func (r *Request) facts() (Facts, error) {
	if r.Facts == nil {
		return nil, errNoFacts
	}
	return r.Facts, nil
}

// LookUpNode looks up the metadata of a Node.
func (r *Request) LookUpNode(name string) (*object.Metadata, bool, error) {
	return lookUp(r, name, Facts.Node)
}

// LookUpNodeObject looks up a Node with its spec and status.
func (r *Request) LookUpNodeObject(name string) (*corev1.Node, bool, error) {
	return lookUp(r, name, Facts.NodeObject)
}

// IsOfAnotherNode reports whether a Node reports the address, other than the one that is written or, for the write of a pod, the kubelet's.
func (r *Request) IsOfAnotherNode(ip netip.Addr) (bool, error) {
	facts, err := r.facts()
	if err != nil {
		return false, err
	}
	names, err := facts.NodesAt(ip.Unmap().WithZone("").String())
	own := r.NodeName
	if r.Resource == "nodes" {
		own = r.WrittenNode() // a node agent may be on no node
	}
	return slices.ContainsFunc(names, func(name string) bool { return name != own }), err
}

// IsProviderIDOfAnotherNode reports whether a Node other than the kubelet's has a provider ID of the same machine.
func (r *Request) IsProviderIDOfAnotherNode(id string) (bool, error) {
	facts, err := r.facts()
	if err != nil {
		return false, err
	}
	names, err := facts.NodesOf(MachineOf(id))
	return slices.ContainsFunc(names, func(name string) bool { return name != r.NodeName }), err
}

// LookUpPod looks up a pod.
func (r *Request) LookUpPod(namespace, name string) (*corev1.Pod, bool, error) {
	return lookUpIn(r, namespace, name, Facts.Pod)
}

// LookUpServiceAccount looks up the metadata of a ServiceAccount.
func (r *Request) LookUpServiceAccount(namespace, name string) (*object.Metadata, bool, error) {
	return lookUpIn(r, namespace, name, Facts.ServiceAccount)
}

// LookUpPersistentVolumeClaim looks up a claim.
func (r *Request) LookUpPersistentVolumeClaim(namespace, name string) (*corev1.PersistentVolumeClaim, bool, error) {
	return lookUpIn(r, namespace, name, Facts.PersistentVolumeClaim)
}

// LookUpPersistentVolume looks up a volume.
func (r *Request) LookUpPersistentVolume(name string) (*corev1.PersistentVolume, bool, error) {
	return lookUp(r, name, Facts.PersistentVolume)
}

// LookUpCSIDriver looks up a CSIDriver.
func (r *Request) LookUpCSIDriver(name string) (*storagev1.CSIDriver, bool, error) {
	return lookUp(r, name, Facts.CSIDriver)
}

// CSIDriverNames returns the names of all stored CSIDrivers.
func (r *Request) CSIDriverNames() ([]string, error) {
	facts, err := r.facts()
	if err != nil {
		return nil, err
	}
	return facts.CSIDriverNames()
}

// Authorized reports whether the authorizers of the cluster allow what the spec describes.
func (r *Request) Authorized(access *authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	facts, err := r.facts()
	if err != nil {
		return false, err
	}
	return facts.Authorized(access)
}

// APIAudiences returns the audiences of the API server. It returns none if they are not known.
func (r *Request) APIAudiences() ([]string, error) {
	facts, err := r.facts()
	if err != nil {
		return nil, err
	}
	return facts.APIAudiences()
}

// lookUp looks up an object by a name that a kubelet may have chosen. No object has an empty name, which a client could send as a
// request for all objects.
func lookUp[T any](r *Request, name string, get func(Facts, string) (*T, bool, error)) (*T, bool, error) {
	return lookUpIn(r, "", name, func(facts Facts, _, name string) (*T, bool, error) { return get(facts, name) })
}

// lookUpIn is lookUp for an object in a namespace.
func lookUpIn[T any](
	r *Request, namespace, name string, get func(Facts, string, string) (*T, bool, error),
) (*T, bool, error) {
	if name == "" {
		return nil, false, nil
	}
	facts, err := r.facts()
	if err != nil {
		return nil, false, err
	}
	return get(facts, namespace, name)
}
