// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"context"
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/auth/nodeidentifier"
	_ "k8s.io/kubernetes/pkg/features" // registers the feature gates with their defaults
	"k8s.io/kubernetes/plugin/pkg/admission/noderestriction"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"

	_ "k8s.io/kubernetes/pkg/apis/authentication/install"
	_ "k8s.io/kubernetes/pkg/apis/certificates/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/resource/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"

	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
)

// objects is what the API server has stored, in the versions that a client reads.
type objects []runtime.Object

// plugin sets the plugin up as the API server does, with default feature gates and RBAC as the authorizer. Its informers never run:
// their indexers have the objects.
func (w objects) plugin(t testing.TB) *noderestriction.Plugin {
	t.Helper()
	factory := informers.NewSharedInformerFactory(nil, 0)
	core, storage, access := factory.Core().V1(), factory.Storage().V1(), factory.Rbac().V1()
	for _, object := range w {
		var indexer cache.Indexer
		switch object.(type) {
		case *corev1.Node:
			indexer = core.Nodes().Informer().GetIndexer()
		case *corev1.Pod:
			indexer = core.Pods().Informer().GetIndexer()
		case *corev1.ServiceAccount:
			indexer = core.ServiceAccounts().Informer().GetIndexer()
		case *corev1.PersistentVolumeClaim:
			indexer = core.PersistentVolumeClaims().Informer().GetIndexer()
		case *corev1.PersistentVolume:
			indexer = core.PersistentVolumes().Informer().GetIndexer()
		case *storagev1.CSIDriver:
			indexer = storage.CSIDrivers().Informer().GetIndexer()
		case *rbacv1.ClusterRole:
			indexer = access.ClusterRoles().Informer().GetIndexer()
		case *rbacv1.ClusterRoleBinding:
			indexer = access.ClusterRoleBindings().Informer().GetIndexer()
		case *rbacv1.Role:
			indexer = access.Roles().Informer().GetIndexer()
		case *rbacv1.RoleBinding:
			indexer = access.RoleBindings().Informer().GetIndexer()
		}
		if err := indexer.Add(object); err != nil {
			t.Fatal(err)
		}
	}
	plugin := noderestriction.NewPlugin(nodeidentifier.NewDefaultNodeIdentifier())
	plugin.InspectFeatureGates(utilfeature.DefaultFeatureGate)
	plugin.SetExternalKubeInformerFactory(factory)
	plugin.SetUnconditionalAuthorizer(rbac.New(
		&rbac.RoleGetter{Lister: access.Roles().Lister()},
		&rbac.RoleBindingLister{Lister: access.RoleBindings().Lister()},
		&rbac.ClusterRoleGetter{Lister: access.ClusterRoles().Lister()},
		&rbac.ClusterRoleBindingLister{Lister: access.ClusterRoleBindings().Lister()},
	))
	if err := plugin.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	return plugin
}

// facts reads the objects as the command review reads its context.
func (w objects) facts(t testing.TB) policy.Facts {
	t.Helper()
	items := make([]json.RawMessage, len(w))
	for i, object := range w {
		items[i] = encode(t, object)
	}
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := manifest.Facts(list)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// encode encodes an object with its kind, as the API server does.
func encode(t testing.TB, object runtime.Object) json.RawMessage {
	t.Helper()
	if object == nil {
		return nil
	}
	kinds, _, err := legacyscheme.Scheme.ObjectKinds(object)
	if err != nil {
		t.Fatal(err)
	}
	object = object.DeepCopyObject()
	object.GetObjectKind().SetGroupVersionKind(kinds[0])
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// internal converts an object to the internal version, which the API server passes to plugins.
func internal(t testing.TB, object runtime.Object) runtime.Object {
	t.Helper()
	if object == nil {
		return nil
	}
	converted, err := legacyscheme.Scheme.UnsafeConvertToVersion(object.DeepCopyObject(), runtime.InternalGroupVersioner)
	if err != nil {
		t.Fatal(err)
	}
	return converted
}

// admit returns the plugin's verdict: nil, or the refusal.
func admit(t testing.TB, plugin *noderestriction.Plugin, r *request) error {
	t.Helper()
	attributes := admission.NewAttributesRecord(
		internal(t, r.object), internal(t, r.old), r.kind, r.namespace, r.name, r.resource, r.subresource,
		admission.Operation(r.operation), nil, false, &user.DefaultInfo{Name: r.user, Groups: r.groups})
	if !plugin.Handles(attributes.GetOperation()) {
		return nil
	}
	return plugin.Admit(context.Background(), attributes, nil)
}
