package cluster

import (
	"context"
	"errors"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/policy"
)

// addressIndex is the index of Nodes by the addresses that they report.
const addressIndex = "address"

var errNotRead = errors.New("the addresses of the nodes have not been read yet")

// addresses knows which Nodes report an address, from a watch that begins once a policy needs it. It keeps of each Node its name
// and its addresses.
type addresses struct {
	nodes  cache.Cache
	synced atomic.Pointer[func() bool] // nil: not watched
}

// watch begins to watch. Once that has succeeded it does nothing.
func (a *addresses) watch() error {
	if a.synced.Load() != nil {
		return nil
	}
	ctx := context.Background() // nothing here waits for the API server
	informer, err := a.nodes.GetInformer(ctx, &corev1.Node{}, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	err = a.nodes.IndexField(ctx, &corev1.Node{}, addressIndex, func(object client.Object) []string {
		return policy.AddressesOf(object.(*corev1.Node))
	})
	if err != nil {
		return err
	}
	a.synced.Store(new(informer.HasSynced))
	return nil
}

// ready reports whether it is not needed or knows all Nodes.
func (a *addresses) ready() bool {
	synced := a.synced.Load()
	return synced == nil || (*synced)()
}

// NodesAt implements [policy.Facts].
func (a *addresses) NodesAt(address string) ([]string, error) {
	if a.synced.Load() == nil {
		return nil, errNotRead
	}
	ctx, cancel := context.WithTimeout(context.Background(), liveTimeout)
	defer cancel()
	// When a policy begins to look, the watch begins too: a moment's patience is better than a denial.
	if !toolscache.WaitForCacheSync(ctx.Done(), a.ready) {
		return nil, errNotRead
	}
	var list corev1.NodeList
	if err := a.nodes.List(ctx, &list, client.MatchingFields{addressIndex: address}); err != nil {
		return nil, err
	}
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = list.Items[i].Name
	}
	return names, nil
}

// reduceToAddresses keeps of a Node its name and addresses, and what the cache needs itself.
func reduceToAddresses(node *corev1.Node) *corev1.Node {
	kept := &corev1.Node{}
	kept.Name, kept.UID, kept.ResourceVersion = node.Name, node.UID, node.ResourceVersion
	kept.Status.Addresses = node.Status.Addresses
	return kept
}
