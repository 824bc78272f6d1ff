// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"fmt"

	jsonv2 "github.com/go-json-experiment/json"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// Facts reads the objects that lookups find: a stream of objects or v1 Lists. It keeps Nodes, Pods, ServiceAccounts,
// PersistentVolumeClaims, PersistentVolumes and CSIDrivers. What the cluster's authorizers allow follows from its Roles,
// ClusterRoles and their bindings, and from SubjectAccessReviews whose status is allowed. Other kinds are skipped. An object
// without a name is an error, except for SubjectAccessReviews.
func Facts(data []byte) (policy.StaticFacts, error) {
	f := newFacts()
	docs, err := Documents(data)
	if err != nil {
		return f.StaticFacts, err
	}
	objects, metas, err := expand(docs)
	if err != nil {
		return f.StaticFacts, err
	}
	for i, object := range objects {
		if err := f.add(metas[i], object); err != nil {
			return f.StaticFacts, fmt.Errorf("object %d: %w", i+1, err)
		}
	}
	return f.StaticFacts, nil
}

type facts struct {
	policy.StaticFacts
	access *access
}

func newFacts() *facts {
	f := &facts{access: newAccess(), StaticFacts: policy.StaticFacts{
		Nodes:                  map[string]*object.Metadata{},
		NodeObjects:            map[string]*corev1.Node{},
		Pods:                   map[types.NamespacedName]*corev1.Pod{},
		ServiceAccounts:        map[types.NamespacedName]*object.Metadata{},
		PersistentVolumeClaims: map[types.NamespacedName]*corev1.PersistentVolumeClaim{},
		PersistentVolumes:      map[string]*corev1.PersistentVolume{},
		CSIDrivers:             map[string]*storagev1.CSIDriver{},
	}}
	f.Allows = f.access.allows
	return f
}

func (f *facts) add(meta typeMeta, object []byte) error {
	rules := &f.access.snapshot
	switch gvk := meta.APIVersion + "/" + meta.Kind; gvk {
	case "v1/Node":
		return errors.Join(
			read(object, func(node *metadataOnly) { f.Nodes[node.Name] = node.metadata() }),
			read(object, func(node *corev1.Node) { f.NodeObjects[node.Name] = node }))
	case "v1/Pod":
		return read(object, func(pod *corev1.Pod) { f.Pods[keyOf(pod)] = pod })
	case "v1/ServiceAccount":
		return read(object, func(account *metadataOnly) { f.ServiceAccounts[keyOf(account)] = account.metadata() })
	case "v1/PersistentVolumeClaim":
		return read(object, func(claim *corev1.PersistentVolumeClaim) { f.PersistentVolumeClaims[keyOf(claim)] = claim })
	case "v1/PersistentVolume":
		return read(object, func(volume *corev1.PersistentVolume) { f.PersistentVolumes[volume.Name] = volume })
	case "storage.k8s.io/v1/CSIDriver":
		return read(object, func(driver *storagev1.CSIDriver) { f.CSIDrivers[driver.Name] = driver })
	case "rbac.authorization.k8s.io/v1/ClusterRole":
		return read(object, func(o *rbacv1.ClusterRole) { rules.ClusterRoles = append(rules.ClusterRoles, *o) })
	case "rbac.authorization.k8s.io/v1/Role":
		return read(object, func(o *rbacv1.Role) { rules.Roles = append(rules.Roles, *o) })
	case "rbac.authorization.k8s.io/v1/ClusterRoleBinding":
		return read(object, func(o *rbacv1.ClusterRoleBinding) { rules.ClusterRoleBindings = append(rules.ClusterRoleBindings, *o) })
	case "rbac.authorization.k8s.io/v1/RoleBinding":
		return read(object, func(o *rbacv1.RoleBinding) { rules.RoleBindings = append(rules.RoleBindings, *o) })
	case "authorization.k8s.io/v1/SubjectAccessReview":
		review := &authorizationv1.SubjectAccessReview{}
		err := jsonv2.Unmarshal(object, review)
		if review.Status.Allowed {
			f.access.answered = append(f.access.answered, review.Spec)
		}
		return err
	}
	if meta.Kind == "" {
		return errors.New("kind is missing")
	}
	return nil
}

// metadataOnly is the metadata of an object.
type metadataOnly struct {
	metav1.ObjectMeta `json:"metadata"`
}

func (m *metadataOnly) metadata() *object.Metadata {
	return &object.Metadata{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, Labels: m.Labels, Annotations: m.Annotations,
		Finalizers: m.Finalizers, OwnerReferences: m.OwnerReferences, DeletionTimestamp: m.DeletionTimestamp,
	}
}

// read decodes an object and keeps it.
func read[T any, P interface {
	*T
	metav1.Object
}](raw []byte, keep func(P),
) error {
	into := P(new(T))
	if err := object.Unmarshal(raw, into); err != nil {
		return err
	}
	if into.GetName() == "" {
		return errors.New("metadata.name is missing")
	}
	keep(into)
	return nil
}

func keyOf(object metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}
