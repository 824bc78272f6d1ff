// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	storageclient "k8s.io/client-go/kubernetes/typed/storage/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/policy/object"
)

// Objects answers lookups of other objects, each with one read from the API server within 300 ms, and asks the API server's
// authorizers. It caches nothing: the baseline needs it, for objects that change often, and few writes of other kinds. It is safe for
// concurrent use.
//
// It needs permission to get nodes, pods, serviceaccounts, persistentvolumeclaims, persistentvolumes and csidrivers.storage.k8s.io, to list
// the last, and to create subjectaccessreviews.authorization.k8s.io.
type Objects struct {
	core          coreclient.CoreV1Interface
	storage       storageclient.StorageV1Interface
	authorization authorizationclient.AuthorizationV1Interface
	tokenFile     string // of the webhook's service account; empty: it has none
}

// NewObjects returns Objects that read with the credential of a config.
func NewObjects(config *rest.Config, client *http.Client) (*Objects, error) {
	config = rest.CopyConfig(config)
	// A read that waited for a client-side rate limit would miss its deadline. The API server limits its clients itself.
	config.QPS = -1
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = config.ContentType + ",application/json"
	core, err := coreclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	storage, err := storageclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	authorization, err := authorizationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	return &Objects{core: core, storage: storage, authorization: authorization, tokenFile: config.BearerTokenFile}, nil
}

// look reads an object once.
func look[T any](read func(ctx context.Context) (*T, error)) (*T, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), liveTimeout)
	defer cancel()
	object, err := read(ctx)
	switch {
	case apierrors.IsNotFound(err):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read from the API server: %w", err)
	}
	return object, true, nil
}

// lookRaw is look for an object that may have quantities: parsing a crafted one may never end, so the object is read as JSON and
// expensive quantities are replaced.
func lookRaw[T any](client rest.Interface, namespace, resource, name string) (*T, bool, error) {
	return look(func(ctx context.Context) (*T, error) {
		raw, err := client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).Name(name).
			SetHeader("Accept", "application/json").Do(ctx).Raw()
		if err != nil {
			return nil, err
		}
		found := new(T)
		return found, object.Unmarshal(raw, found)
	})
}

// NodeObject implements [policy.Facts].
func (o *Objects) NodeObject(name string) (*corev1.Node, bool, error) {
	return lookRaw[corev1.Node](o.core.RESTClient(), "", "nodes", name)
}

// Pod implements [policy.Facts].
func (o *Objects) Pod(namespace, name string) (*corev1.Pod, bool, error) {
	return lookRaw[corev1.Pod](o.core.RESTClient(), namespace, "pods", name)
}

// ServiceAccount implements [policy.Facts].
func (o *Objects) ServiceAccount(namespace, name string) (*object.Metadata, bool, error) {
	account, found, err := look(func(ctx context.Context) (*corev1.ServiceAccount, error) {
		return o.core.ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	})
	if !found {
		return nil, false, err
	}
	return &object.Metadata{
		Namespace: account.Namespace, Name: account.Name, UID: account.UID, Labels: account.Labels,
	}, true, nil
}

// PersistentVolumeClaim implements [policy.Facts].
func (o *Objects) PersistentVolumeClaim(namespace, name string) (*corev1.PersistentVolumeClaim, bool, error) {
	return lookRaw[corev1.PersistentVolumeClaim](o.core.RESTClient(), namespace, "persistentvolumeclaims", name)
}

// PersistentVolume implements [policy.Facts].
func (o *Objects) PersistentVolume(name string) (*corev1.PersistentVolume, bool, error) {
	return lookRaw[corev1.PersistentVolume](o.core.RESTClient(), "", "persistentvolumes", name)
}

// CSIDriver implements [policy.Facts].
func (o *Objects) CSIDriver(name string) (*storagev1.CSIDriver, bool, error) {
	return look(func(ctx context.Context) (*storagev1.CSIDriver, error) {
		return o.storage.CSIDrivers().Get(ctx, name, metav1.GetOptions{})
	})
}

var errTooManyDrivers = errors.New("there are too many CSIDrivers")

// maxCSIDrivers bounds how many CSIDrivers are listed. Clusters have a few.
const maxCSIDrivers = 500

// CSIDriverNames implements [policy.Facts]. It is an error if there are more than 500.
func (o *Objects) CSIDriverNames() ([]string, error) {
	list, _, err := look(func(ctx context.Context) (*storagev1.CSIDriverList, error) {
		return o.storage.CSIDrivers().List(ctx, metav1.ListOptions{Limit: maxCSIDrivers})
	})
	switch {
	case err != nil:
		return nil, err
	case list == nil || list.Continue != "":
		return nil, errTooManyDrivers
	}
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = list.Items[i].Name
	}
	return names, nil
}

// Authorized implements [policy.Facts] with a SubjectAccessReview.
func (o *Objects) Authorized(access *authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	review, found, err := look(func(ctx context.Context) (*authorizationv1.SubjectAccessReview, error) {
		return o.authorization.SubjectAccessReviews().Create(
			ctx, &authorizationv1.SubjectAccessReview{Spec: *access}, metav1.CreateOptions{})
	})
	return found && review.Status.Allowed, err
}
