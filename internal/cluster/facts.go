// Package cluster answers the look-ups of policies from the API server.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/policy"
)

// liveTimeout bounds one read from the API server. A kubelet waits for the answer, and the API server for the webhook.
const liveTimeout = 100 * time.Millisecond

// Facts answers look-ups from a cache of the metadata of all Nodes, which the API server keeps current: name, UID and labels,
// about 1 KiB a Node. A Node that is not in the cache is read live once, within 100 ms, because it may be newer than the
// cache. It is safe for concurrent use.
type Facts struct {
	cached client.Reader
	live   client.Reader
}

// New returns Facts that read Nodes from a cache made with [CacheOptions], and from live, which must not be cached.
func New(cached, live client.Reader) *Facts {
	return &Facts{cached: cached, live: live}
}

// CacheOptions has the cache keep of each Node only what policies look at.
func CacheOptions() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{nodeMetadata(): {Transform: reduce}}
}

// NodesSynced waits until the cache knows all Nodes, or until the context ends.
func NodesSynced(ctx context.Context, c cache.Cache) error {
	informer, err := c.GetInformer(ctx, nodeMetadata(), cache.BlockUntilSynced(true))
	if err != nil {
		return fmt.Errorf("watch the metadata of nodes: %w", err)
	}
	if !informer.HasSynced() {
		return errors.New("watch the metadata of nodes: not synced")
	}
	return nil
}

// Node implements [policy.Facts].
func (f *Facts) Node(name string) (*policy.Metadata, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), liveTimeout)
	defer cancel()
	for _, reader := range []client.Reader{f.cached, f.live} {
		node := nodeMetadata()
		err := reader.Get(ctx, client.ObjectKey{Name: name}, node)
		if err == nil {
			return &policy.Metadata{Name: node.Name, UID: node.UID, Labels: node.Labels}, true, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, false, fmt.Errorf("read node: %w", err)
		}
	}
	return nil, false, nil
}

func nodeMetadata() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node"}}
}

// reduce keeps of a Node what policies look at.
func reduce(object any) (any, error) {
	node, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	kept := &metav1.PartialObjectMetadata{TypeMeta: node.TypeMeta}
	kept.Name, kept.UID, kept.ResourceVersion, kept.Labels = node.Name, node.UID, node.ResourceVersion, node.Labels
	return kept, nil
}

var _ policy.Facts = &Facts{}
