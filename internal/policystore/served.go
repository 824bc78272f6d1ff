// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystore

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
)

// crdName is the name of the CRD.
const crdName = "noderestrictionpolicies." + v1alpha1.GroupName

// served is the policies in the API server itself, bypassing caches.
type served struct {
	// lost says that the CRD is deleted, being deleted or not served. When a CRD is deleted, the API server first deletes the
	// objects, one by one, as if a user had deleted each of them.
	lost     bool
	versions map[string]version
}

// version is a state of an object's spec.
type version struct {
	uid        types.UID
	generation int64
}

// readServed reads from the API server. Without permission to read the CRD, its deletion cannot be distinguished from that of
// the policies until it is complete.
func readServed(ctx context.Context, live client.Reader) (served, error) {
	crd := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{
		APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition",
	}}
	err := live.Get(ctx, client.ObjectKey{Name: crdName}, crd)
	switch {
	case apierrors.IsNotFound(err), err == nil && crd.DeletionTimestamp != nil:
		return served{lost: true}, nil
	case err != nil && !apierrors.IsForbidden(err):
		return served{}, fmt.Errorf("read the CRD: %w", err)
	}
	list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{
		APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.Kind + "List",
	}}
	err = live.List(ctx, list)
	switch {
	case apierrors.IsNotFound(err):
		return served{lost: true}, nil
	case err != nil:
		return served{}, fmt.Errorf("list policies: %w", err)
	}
	s := served{versions: map[string]version{}}
	for i := range list.Items {
		object := &list.Items[i]
		s.versions[object.Name] = version{object.UID, object.Generation}
	}
	return s, nil
}

func (s served) has(name string) bool {
	_, has := s.versions[name]
	return has
}

// equal reports whether exactly these versions are held.
func (s served) equal(h policyStates) bool {
	if len(s.versions) != len(h) {
		return false
	}
	for name, held := range h {
		if s.versions[name] != (version{held.uid, held.generation}) {
			return false
		}
	}
	return true
}
