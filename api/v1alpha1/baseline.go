// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Baseline turns on the checks of the in-tree admission plugin NodeRestriction, for clusters where that is off. Verdicts are
// those of Kubernetes 1.37, as far as a validating webhook is sent the same object; docs/baseline.md says where it is not.
// Like the plugin, baseline restricts only users in the group system:nodes.
type Baseline struct {
	// resources are the resources whose writes are checked. Those other than nodes and pods also need their webhooks, which
	// the chart does not register unless told to.
	// Omitted: [nodes, pods].
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=9
	Resources []BaselineResource `json:"resources,omitempty"`

	// apiAudiences are the audiences of the API server itself (its flag --api-audiences, by default that of
	// --service-account-issuer). A kubelet asks for most tokens without an audience; the API server fills in its own before
	// it asks a webhook, so that serviceaccounts can be checked only if they are known.
	// Omitted: those of the program's own service account token, or none where it has no such token.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	APIAudiences []string `json:"apiAudiences,omitempty"`
}

// BaselineResource is a resource that the NodeRestriction plugin looks at, without its group.
//
// +kubebuilder:validation:Enum=nodes;pods;persistentvolumeclaims;serviceaccounts;leases;csinodes;resourceslices;certificatesigningrequests;podcertificaterequests
type BaselineResource string

const (
	// BaselineNodes has a kubelet write its own Node only, and not its taints, owners or reserved labels.
	BaselineNodes BaselineResource = "nodes"
	// BaselinePods has a kubelet create mirror pods only, and write the pods of its node only.
	BaselinePods BaselineResource = "pods"
	// BaselinePersistentVolumeClaims has a kubelet write the size and conditions of claims only.
	BaselinePersistentVolumeClaims BaselineResource = "persistentvolumeclaims"
	// BaselineServiceAccounts has a kubelet ask for tokens only on behalf of the pods of its node.
	BaselineServiceAccounts BaselineResource = "serviceaccounts"
	// BaselineLeases has a kubelet write the lease of its Node only.
	BaselineLeases BaselineResource = "leases"
	// BaselineCSINodes has a kubelet write its own CSINode only.
	BaselineCSINodes BaselineResource = "csinodes"
	// BaselineResourceSlices has a kubelet create and delete the ResourceSlices of its node only.
	BaselineResourceSlices BaselineResource = "resourceslices"
	// BaselineCertificateSigningRequests has a kubelet ask for certificates in its own name only.
	BaselineCertificateSigningRequests BaselineResource = "certificatesigningrequests"
	// BaselinePodCertificateRequests has a kubelet ask for certificates only on behalf of the pods of its node.
	BaselinePodCertificateRequests BaselineResource = "podcertificaterequests"
)
