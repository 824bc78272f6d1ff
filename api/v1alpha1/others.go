// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// ServiceAccountTokens restricts the tokens that a kubelet requests for the pods on its node.
type ServiceAccountTokens struct {
	// maxExpirationSeconds is the longest life of a token that a kubelet may request, in seconds. A pod that asks for a longer
	// one in a projected volume does not start.
	// Omitted: 86400, a day.
	// +optional
	// +kubebuilder:validation:Minimum=600
	// +kubebuilder:validation:Maximum=4294967296
	MaxExpirationSeconds int64 `json:"maxExpirationSeconds,omitempty"`

	// denied are patterns on <namespace>/<name> of service accounts whose tokens a kubelet may not request, because they
	// never run on the restricted nodes.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Denied []Pattern `json:"denied,omitempty"`
}

// CSINodes restricts the metadata of CSINodes. It has no fields.
type CSINodes struct{}

// ResourceSlices restricts writes of ResourceSlices. It has no fields.
type ResourceSlices struct{}

// Events restricts what a kubelet may write events about. It has no fields.
type Events struct{}
