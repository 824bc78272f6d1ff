// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/rbac"
)

// page is one page of a list.
type page[T any] struct {
	metav1.ListMeta `json:"metadata"`
	Items           []T `json:"items"`
}

// list reads a list, page by page, up to a number of objects. It reports whether these are all.
func list[T any](ctx context.Context, c *Client, resource, path, selector string, limit int) (items []T, all bool, err error) {
	query := url.Values{"limit": {strconv.Itoa(min(limit, pageSize))}}
	if selector != "" {
		query.Set("fieldSelector", selector)
	}
	for {
		answer, err := c.send(ctx, "list", resource, path, query, nil, maxPage)
		if err != nil {
			return nil, false, err
		}
		var p page[T]
		if err := json.Unmarshal(answer, &p); err != nil {
			return nil, false, fmt.Errorf("GET %s: %w", path, err)
		}
		items = append(items, p.Items...)
		switch {
		case p.Continue == "":
			return items, true, nil
		case len(items) >= limit || len(p.Items) == 0:
			return items, false, nil
		}
		query.Set("continue", p.Continue)
	}
}

// everything reads a whole list.
func everything[T any](ctx context.Context, c *Client, resource, path string) ([]T, error) {
	items, all, err := list[T](ctx, c, resource, path, "", maxObjects)
	if err == nil && !all {
		return nil, fmt.Errorf("there are more than %d %s", maxObjects, resource)
	}
	return items, err
}

const rbacPath = "/apis/rbac.authorization.k8s.io/v1/"

// RBAC reads the roles and bindings of the cluster. For each list that it may not read it returns an error beside, and the
// snapshot lacks that list.
func (c *Client) RBAC(ctx context.Context) (*rbac.Snapshot, []error) {
	s := &rbac.Snapshot{}
	var failures []error
	keep := func(err error) {
		if err != nil {
			failures = append(failures, err)
		}
	}
	var err error
	s.ClusterRoles, err = everything[rbacv1.ClusterRole](ctx, c, "clusterroles.rbac.authorization.k8s.io", rbacPath+"clusterroles")
	keep(err)
	s.ClusterRoleBindings, err = everything[rbacv1.ClusterRoleBinding](
		ctx, c, "clusterrolebindings.rbac.authorization.k8s.io", rbacPath+"clusterrolebindings")
	keep(err)
	s.Roles, err = everything[rbacv1.Role](ctx, c, "roles.rbac.authorization.k8s.io", rbacPath+"roles")
	keep(err)
	s.RoleBindings, err = everything[rbacv1.RoleBinding](ctx, c, "rolebindings.rbac.authorization.k8s.io", rbacPath+"rolebindings")
	keep(err)
	return s, failures
}

// Pods reads the pods of a node, at most limit of them.
func (c *Client) Pods(ctx context.Context, node string, limit int) ([]corev1.Pod, error) {
	pods, _, err := list[corev1.Pod](ctx, c, "pods", "/api/v1/pods", "spec.nodeName="+node, limit)
	return pods, err
}

// PersistentVolumes reads PersistentVolumes, at most limit of them.
func (c *Client) PersistentVolumes(ctx context.Context, limit int) ([]corev1.PersistentVolume, error) {
	volumes, _, err := list[corev1.PersistentVolume](ctx, c, "persistentvolumes", "/api/v1/persistentvolumes", "", limit)
	return volumes, err
}

// VolumeAttachments reads VolumeAttachments, at most limit of them.
func (c *Client) VolumeAttachments(ctx context.Context, limit int) ([]storagev1.VolumeAttachment, error) {
	attachments, _, err := list[storagev1.VolumeAttachment](
		ctx, c, "volumeattachments.storage.k8s.io", "/apis/storage.k8s.io/v1/volumeattachments", "", limit)
	return attachments, err
}

// ResourceSlices reads the ResourceSlices of a node, at most limit of them.
func (c *Client) ResourceSlices(ctx context.Context, node string, limit int) ([]resourcev1.ResourceSlice, error) {
	slices, _, err := list[resourcev1.ResourceSlice](
		ctx, c, "resourceslices.resource.k8s.io", "/apis/resource.k8s.io/v1/resourceslices", "spec.nodeName="+node, limit)
	return slices, err
}

// PodCertificateRequests reads the PodCertificateRequests of a node, at most limit of them.
func (c *Client) PodCertificateRequests(ctx context.Context, node string, limit int) ([]certificatesv1.PodCertificateRequest, error) {
	requests, _, err := list[certificatesv1.PodCertificateRequest](ctx, c, "podcertificaterequests.certificates.k8s.io",
		"/apis/certificates.k8s.io/v1/podcertificaterequests", "spec.nodeName="+node, limit)
	return requests, err
}
