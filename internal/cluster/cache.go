// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CacheOptions returns options for a cache that keeps only name, UID and labels of each Node, about 2.5 KiB for a Node with 15
// labels, and returns them without copying: they must not be changed. If addresses or provider IDs are looked up it keeps those, too.
func CacheOptions() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		nodeMetadata(): {Transform: reduce, UnsafeDisableDeepCopy: new(true)},
	}
}

func nodeMetadata() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node"},
	}
}

// reduce keeps only what policies need of a Node, and what the cache itself needs.
func reduce(object any) (any, error) {
	// The cache has one set of options per kind, whichever Go type it is read into.
	if node, ok := object.(*unstructured.Unstructured); ok {
		return reduceToAddresses(node), nil
	}
	node, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	kept := nodeMetadata()
	kept.Name, kept.UID, kept.ResourceVersion, kept.Labels = node.Name, node.UID, node.ResourceVersion, node.Labels
	return kept, nil
}
