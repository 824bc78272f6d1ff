// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is version v1alpha1 of the NodeRestrictionPolicy API, group noderestriction.plus.
//
// A NodeRestrictionPolicy says what the credential of a kubelet may write to its Node and to the pods on it. Each
// section of its spec turns one rule on; an omitted section is an inactive rule. What a stock kubelet needs is built into each
// rule and cannot be taken away by a policy.
//
// +kubebuilder:object:generate=true
// +groupName=noderestriction.plus
package v1alpha1
