// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import corev1 "k8s.io/api/core/v1"

// NodeSelf binds a kubelet to its own Node. It has no fields.
type NodeSelf struct{}

// NodeNames restricts the names of registered Nodes.
type NodeNames struct {
	// allowed are patterns on the name of a Node that is registered.
	// Omitted: any name that is not generated.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Allowed []Pattern `json:"allowed,omitempty"`
}

// NodeDirectUpdates forbids writes to the Node itself. It has no fields.
type NodeDirectUpdates struct{}

// NodePodCIDRs forbids writes of podCIDR and podCIDRs. It has no fields.
type NodePodCIDRs struct{}

// NodeProviderID restricts spec.providerID.
type NodeProviderID struct {
	// allowed are patterns on the provider ID with which a Node is registered; having none is always allowed.
	// Omitted: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Allowed []Pattern `json:"allowed,omitempty"`

	// ofOtherNodes says whether a Node may be registered with a provider ID that another Node has, too. Deny has each replica of
	// the program watch all Nodes, and denies a machine that registers under a new name while its old Node still exists. Provider
	// IDs are compared without regard to case, and those of AWS and OpenStack without zone and region, as the cloud controllers do.
	// A registration violates the rule if the provider IDs cannot be looked up.
	// Omitted: Allow.
	// +optional
	OfOtherNodes Access `json:"ofOtherNodes,omitempty"`
}

// NodeOtherSpec freezes the rest of spec. It has no fields.
type NodeOtherSpec struct{}

// NodeAddresses restricts status.addresses. Only added and changed entries are looked at, and whether an IP address remains.
type NodeAddresses struct {
	// allowedTypes are the types of addresses that a kubelet may report. A Hostname must be the Node's own name.
	// Omitted: [InternalIP, Hostname], the two that a kubelet writes.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	AllowedTypes []NodeAddressType `json:"allowedTypes,omitempty"`

	// allowedCIDRs are the ranges in which InternalIP and ExternalIP must be.
	// Omitted: any that is not loopback, link-local, multicast or unspecified.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	AllowedCIDRs []CIDR `json:"allowedCIDRs,omitempty"`

	// deniedCIDRs are ranges in which no address may be, such as those of the API servers and of Services.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	DeniedCIDRs []CIDR `json:"deniedCIDRs,omitempty"`

	// ofOtherNodes says whether an InternalIP or ExternalIP may be one that another Node reports, too. Deny has each replica of
	// the program watch the addresses of all Nodes, and denies a machine that has got the address of a Node which still exists.
	// A write violates the rule if the addresses cannot be looked up.
	// Omitted: Allow.
	// +optional
	OfOtherNodes Access `json:"ofOtherNodes,omitempty"`
}

// Access says whether something is allowed.
//
// +kubebuilder:validation:Enum=Allow;Deny
type Access string

const (
	// AccessAllow allows it.
	AccessAllow Access = "Allow"
	// AccessDeny denies it.
	AccessDeny Access = "Deny"
)

// NodeAddressType is a type of a Node's address.
//
// +kubebuilder:validation:Enum=InternalIP;ExternalIP;Hostname;InternalDNS;ExternalDNS
type NodeAddressType string

// NodeKubeletPorts restricts status.daemonEndpoints.kubeletEndpoint.port.
type NodeKubeletPorts struct {
	// allowed are the ports that a kubelet may report.
	// Omitted: any port from 1024 to 65535 but 2379, 2380 and 6443.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Allowed []int32 `json:"allowed,omitempty"`
}

// NodeConditions restricts status.conditions.
type NodeConditions struct {
	// allowed are patterns on types of conditions that a kubelet may write besides its own four, for problem detectors that
	// use the kubelet's credential.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Allowed []Pattern `json:"allowed,omitempty"`
}

// NodeCapacity bounds status.capacity and status.allocatable.
type NodeCapacity struct {
	// max is the most of each resource that a kubelet may report, as capacity and as allocatable. A resource that is not
	// named keeps its built-in bound, if it has one.
	// Omitted: the built-in bounds only: cpu 4096, memory 64Ti, pods 10000, ephemeral-storage 1Pi.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	Max map[corev1.ResourceName]Quantity `json:"max,omitempty"` //nolint:kubeapilinter // A map, as status.capacity is.
}

// NodeExtendedResources restricts extended resources in status.capacity and status.allocatable.
type NodeExtendedResources struct {
	// allowed are the resources that device plugins may report, and how many of each.
	// Omitted: those the Node has, and no more of them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Allowed []ExtendedResource `json:"allowed,omitempty"`
}

// ExtendedResource is a resource that a device plugin reports.
type ExtendedResource struct {
	// name is a pattern on the resource's name.
	// +required
	Name Pattern `json:"name,omitempty"`

	// max is how many of it a Node may have.
	// Omitted: any number.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Max *int64 `json:"max,omitempty"`
}

// NodeImages restricts status.images. Only what is added is looked at.
type NodeImages struct {
	// maxCount is how many images a kubelet may report, when the number grows.
	// Omitted: 50, a kubelet's default. Raise it if your kubelets set nodeStatusMaxImages.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MaxCount int32 `json:"maxCount,omitempty"`

	// allowedRepositories are patterns on the names of images that a kubelet may add, such as registry.example.com/*.
	// Omitted: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	AllowedRepositories []Pattern `json:"allowedRepositories,omitempty"`
}

// NodeInfo restricts status.nodeInfo.
type NodeInfo struct {
	// allowed are patterns on the values of the named fields, when they change: kubeletVersion, kernelVersion, osImage,
	// containerRuntimeVersion, operatingSystem or architecture.
	// Omitted: any value.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=6
	Allowed map[NodeInfoField]PatternList `json:"allowed,omitempty"` //nolint:kubeapilinter // The keys are those of nodeInfo, an object.

	// machineChanges says whether machineID and systemUUID may change after registration. Deny has a machine that is replaced,
	// or reinstalled with another machine ID, need its Node deleted first. bootID, which changes with every boot, may always change.
	// Omitted: Allow.
	// +optional
	MachineChanges Access `json:"machineChanges,omitempty"`
}

// NodeInfoField names a field of status.nodeInfo.
type NodeInfoField string

// PatternList is a list of patterns.
//
// +listType=set
// +kubebuilder:validation:MinItems=1
// +kubebuilder:validation:MaxItems=32
type PatternList []Pattern

// NodeVolumes bounds status.volumesInUse.
type NodeVolumes struct {
	// maxInUse is how many volumes a kubelet may report as in use, when the number grows.
	// Omitted: 256.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MaxInUse int32 `json:"maxInUse,omitempty"`
}

// NodeReservedStatus forbids writes of volumesAttached, phase and config. It has no fields.
type NodeReservedStatus struct{}

// NodeFeatures restricts status.declaredFeatures.
type NodeFeatures struct {
	// allowed are patterns on the features that a kubelet may declare.
	// Omitted: any, at most 256.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Allowed []Pattern `json:"allowed,omitempty"`
}

// NodeUnknownFields forbids changes of unknown fields. It has no fields.
type NodeUnknownFields struct{}
