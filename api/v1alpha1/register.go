// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of NodeRestrictionPolicy.
const GroupName = "noderestriction.plus"

// Kind is the kind of a NodeRestrictionPolicy.
const Kind = "NodeRestrictionPolicy"

// GroupVersion returns the group and version of this package.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}
}

// AddToScheme adds the types of this package to a scheme. It never fails; the error is there for scheme builders.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion(), &NodeRestrictionPolicy{}, &NodeRestrictionPolicyList{})
	metav1.AddToGroupVersion(scheme, GroupVersion())
	return nil
}
