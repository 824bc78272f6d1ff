// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/policy"
)

// identityIndex is the index of Nodes by the addresses that they report and by the machine that their provider ID names. It is one index,
// because adding a second one could fail after the first was added, and no index can be added twice.
const (
	identityIndex = "identity"
	addressPrefix = "address "
	machinePrefix = "machine "
)

var errNotRead = errors.New("the nodes have not been read yet")

// addresses finds the Nodes that report an address or have a provider ID, from a watch that begins once a policy needs it. It keeps only
// the name, the addresses and the provider ID of each Node.
type addresses struct {
	nodes  cache.Cache
	synced atomic.Pointer[func() bool] // nil: not watched
}

// watch begins to watch. After it has succeeded it does nothing.
func (a *addresses) watch() error {
	if a.synced.Load() != nil {
		return nil
	}
	ctx := context.Background() // nothing here waits for the API server
	informer, err := a.nodes.GetInformer(ctx, wholeNode(), cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	err = a.nodes.IndexField(ctx, wholeNode(), identityIndex, func(object client.Object) []string {
		return identitiesOf(object.(*unstructured.Unstructured))
	})
	if err != nil {
		return err
	}
	a.synced.Store(new(informer.HasSynced))
	return nil
}

// ready reports whether all Nodes are known, or not needed.
func (a *addresses) ready() bool {
	synced := a.synced.Load()
	return synced == nil || (*synced)()
}

// NodesAt implements [policy.Facts].
func (a *addresses) NodesAt(address string) ([]string, error) { return a.find(addressPrefix + address) }

// NodesOf implements [policy.Facts].
func (a *addresses) NodesOf(machine string) ([]string, error) { return a.find(machinePrefix + machine) }

// find returns the names of the Nodes with an identity.
func (a *addresses) find(identity string) ([]string, error) {
	if a.synced.Load() == nil {
		return nil, errNotRead
	}
	ctx, cancel := context.WithTimeout(context.Background(), liveTimeout)
	defer cancel()
	// The watch begins when a policy begins to need it: waiting a moment is better than a denial.
	if !toolscache.WaitForCacheSync(ctx.Done(), a.ready) {
		return nil, errNotRead
	}
	list := unstructured.UnstructuredList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	if err := a.nodes.List(ctx, &list, client.MatchingFields{identityIndex: identity}); err != nil {
		return nil, err
	}
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = list.Items[i].GetName()
	}
	return names, nil
}

// wholeNode returns an untyped Node: reading it into its Go type would parse each quantity, which may never end.
func wholeNode() *unstructured.Unstructured {
	node := &unstructured.Unstructured{}
	node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	return node
}

// reduceToAddresses keeps only name, addresses and provider ID of a Node, and what the cache itself needs.
func reduceToAddresses(node *unstructured.Unstructured) *unstructured.Unstructured {
	kept := wholeNode()
	kept.SetName(node.GetName())
	kept.SetUID(node.GetUID())
	kept.SetResourceVersion(node.GetResourceVersion())
	addresses, found, err := unstructured.NestedFieldNoCopy(node.Object, "status", "addresses")
	if found && err == nil {
		kept.Object["status"] = map[string]any{"addresses": addresses}
	}
	if id := providerIDOf(node); id != "" {
		kept.Object["spec"] = map[string]any{"providerID": id}
	}
	return kept
}

func providerIDOf(node *unstructured.Unstructured) string {
	id, _, _ := unstructured.NestedString(node.Object, "spec", "providerID")
	return id
}

// identitiesOf returns the values of a Node in the index.
func identitiesOf(node *unstructured.Unstructured) []string {
	identities := policy.AddressesOf(addressesOf(node))
	for i, address := range identities {
		identities[i] = addressPrefix + address
	}
	if id := providerIDOf(node); id != "" {
		identities = append(identities, machinePrefix+policy.MachineOf(id))
	}
	return identities
}

// addressesOf returns a Node that has only its addresses.
func addressesOf(node *unstructured.Unstructured) *corev1.Node {
	typed := &corev1.Node{}
	list, _, _ := unstructured.NestedFieldNoCopy(node.Object, "status", "addresses")
	addresses, _ := list.([]any)
	for _, address := range addresses {
		if fields, ok := address.(map[string]any); ok {
			text, _ := fields["address"].(string)
			typed.Status.Addresses = append(typed.Status.Addresses, corev1.NodeAddress{Address: text})
		}
	}
	return typed
}
