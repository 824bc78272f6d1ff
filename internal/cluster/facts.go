// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster answers the lookups of policies from the API server.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// liveTimeout bounds one read from the API server, because a kubelet waits for the answer.
const liveTimeout = 300 * time.Millisecond

// Facts answers lookups of Nodes from a cache, and others like [Objects]. A Node that is not in the cache is read live once, within
// 300 ms, because it may be newer than the cache; before the cache is synced all Nodes are read live. A failed read is an error. It
// is safe for concurrent use.
//
// Nodes are watched only once a policy needs them: their heartbeats are most of the changes in a cluster.
type Facts struct {
	*Objects
	*addresses
	cached, live func(ctx context.Context, name string) (*metav1.PartialObjectMetadata, error)
	watchNodes   func() (synced func() bool, err error)
	log          logr.Logger

	synced atomic.Pointer[func() bool] // of Nodes' metadata; nil: not watched
}

var _ policy.Facts = &Facts{}

// New returns Facts that read Nodes from a cache with [CacheOptions], and from live, which must not be a cache. It may be called
// before the cache is started.
func New(nodes cache.Cache, live client.Reader, others *Objects, log logr.Logger) *Facts {
	return &Facts{
		Objects: others, addresses: &addresses{nodes: nodes}, cached: nodeFrom(nodes), live: nodeFrom(live), log: log,
		watchNodes: func() (func() bool, error) {
			informer, err := nodes.GetInformer(context.Background(), nodeMetadata(), cache.BlockUntilSynced(false))
			if err != nil {
				return nil, err
			}
			return informer.HasSynced, nil
		},
	}
}

// Expect prepares for the lookups of a set: Nodes are watched once a set looks them up. It does not block, and must not be called
// concurrently.
func (f *Facts) Expect(set *policy.Set) {
	if set.LooksUpAddresses() || set.LooksUpProviderIDs() {
		if err := f.addresses.watch(); err != nil {
			f.log.Error(err, "Could not watch the addresses and provider IDs of nodes, retrying; until then they cannot be looked up")
		}
	}
	if f.synced.Load() != nil || !set.LooksUpNodes() {
		return
	}
	synced, err := f.watchNodes()
	if err != nil {
		f.log.Error(err, "Could not watch the metadata of nodes, retrying; until then each is read when it is needed")
		return
	}
	f.synced.Store(&synced)
}

// cacheSynced reports whether the cache has all Nodes.
func (f *Facts) cacheSynced() bool {
	synced := f.synced.Load()
	return synced != nil && (*synced)()
}

func nodeFrom(reader client.Reader) func(context.Context, string) (*metav1.PartialObjectMetadata, error) {
	return func(ctx context.Context, name string) (*metav1.PartialObjectMetadata, error) {
		node := nodeMetadata()
		return node, reader.Get(ctx, client.ObjectKey{Name: name}, node)
	}
}

// Check is a readiness check: it fails until the cache has all Nodes, if a policy needs them.
func (f *Facts) Check(*http.Request) error {
	if f.synced.Load() != nil && !f.cacheSynced() || !f.addresses.ready() {
		return errors.New("the nodes have not been read yet")
	}
	return nil
}

// Node implements [policy.Facts].
func (f *Facts) Node(name string) (*object.Metadata, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), liveTimeout)
	defer cancel()
	node, err := f.read(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read node: %w", err)
	}
	return &object.Metadata{Name: node.Name, UID: node.UID, Labels: node.Labels}, true, nil
}

func (f *Facts) read(ctx context.Context, name string) (*metav1.PartialObjectMetadata, error) {
	if f.cacheSynced() {
		if node, err := f.cached(ctx, name); !apierrors.IsNotFound(err) {
			return node, err
		}
	}
	return f.live(ctx, name)
}
