// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"reflect"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

// write is a request with its objects as CEL sees them.
type write struct {
	*admissionv1.AdmissionRequest
	options     runtime.Object
	object, old runtime.Object
	typed       bool
}

func newWrite(scheme *runtime.Scheme, r *admissionv1.AdmissionRequest) (*write, error) {
	w := &write{AdmissionRequest: r, typed: true}
	if len(r.Options.Raw) > 0 {
		options := &metav1.DeleteOptions{}
		if err := json.Unmarshal(r.Options.Raw, options); err != nil {
			return nil, fmt.Errorf("options: %w", err)
		}
		w.options = options
	}
	kind := schema.GroupVersionKind(r.Kind)
	parts := []struct {
		field string
		raw   []byte
		into  *runtime.Object
	}{{"object", r.Object.Raw, &w.object}, {"oldObject", r.OldObject.Raw, &w.old}}
	trees := make([]map[string]any, len(parts))
	for i, part := range parts {
		if len(part.raw) == 0 {
			continue
		}
		if err := json.Unmarshal(part.raw, &trees[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", part.field, err)
		}
		*part.into = typed(scheme, kind, trees[i])
		w.typed = w.typed && *part.into != nil
	}
	if w.typed {
		return w, nil
	}
	for i, part := range parts {
		if trees[i] != nil {
			shown := &unstructured.Unstructured{Object: trees[i]}
			shown.SetGroupVersionKind(kind)
			*part.into = shown
		}
	}
	return w, nil
}

// newScheme has the types of the objects that kubelets write. Those of resource.k8s.io are not in this release.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		authenticationv1.AddToScheme, certificatesv1.AddToScheme, coordinationv1.AddToScheme, corev1.AddToScheme, eventsv1.AddToScheme,
		policyv1.AddToScheme, storagev1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// typed returns an object of a kind, or nil if its type lacks a field or does not exist.
func typed(scheme *runtime.Scheme, kind schema.GroupVersionKind, tree map[string]any) runtime.Object {
	object, err := scheme.New(kind)
	if err != nil {
		return nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(tree, object); err != nil {
		return nil
	}
	object.GetObjectKind().SetGroupVersionKind(kind)
	back, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil || !has(back, tree) {
		return nil
	}
	return object
}

// has reports whether a value has everything that another one has.
func has(value, other any) bool {
	switch o := other.(type) {
	case map[string]any:
		v, ok := value.(map[string]any)
		for key := range o {
			ok = ok && has(v[key], o[key])
		}
		return ok
	case []any:
		v, ok := value.([]any)
		ok = ok && len(v) == len(o)
		for i := range o {
			ok = ok && has(v[i], o[i])
		}
		return ok
	}
	return reflect.DeepEqual(value, other)
}

// attributes are those of the write.
func (w *write) attributes() *admission.VersionedAttributes {
	kind := schema.GroupVersionKind(w.Kind)
	caller := &user.DefaultInfo{Name: w.UserInfo.Username, UID: w.UserInfo.UID, Groups: w.UserInfo.Groups}
	return &admission.VersionedAttributes{
		Attributes: admission.NewAttributesRecord(w.object, w.old, kind, w.Namespace, w.Name, schema.GroupVersionResource(w.Resource),
			w.SubResource, admission.Operation(w.Operation), w.options, w.DryRun != nil && *w.DryRun, caller),
		VersionedKind: kind, VersionedObject: w.object, VersionedOldObject: w.old,
	}
}
