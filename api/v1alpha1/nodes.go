// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import corev1 "k8s.io/api/core/v1"

// NodeRules are the rules for what a kubelet writes to Nodes. An omitted section is a rule that is off.
type NodeRules struct {
	// self binds a kubelet to the Node of its name. The NodeRestriction plugin does so, too, but only for users in the group
	// system:nodes.
	// Omitted: other Nodes are not protected by this policy. Empty ({}): a kubelet writes its own Node only.
	// +optional
	Self *NodeSelf `json:"self,omitempty"`

	// names restricts the names under which kubelets may register Nodes.
	// Omitted: names are not restricted. Empty ({}): any name, but none that is generated.
	// +optional
	Names *NodeNames `json:"names,omitempty"`

	// directUpdates forbids a kubelet to write the Node itself after registration. A stock kubelet writes nodes/status only.
	// Omitted: not restricted. Empty ({}): a write to the Node itself may change nothing.
	// +optional
	DirectUpdates *NodeDirectUpdates `json:"directUpdates,omitempty"`

	// labels restricts the labels a kubelet gives its Node. A label steers workloads: a kubelet that labels its own Node can
	// draw privileged pods to itself.
	// Omitted: labels are not restricted. Empty ({}): at registration any label but those that Kubernetes reserves; later
	// only what a kubelet writes itself: its own labels, and topology labels, which it adds while the Node has a CSI driver.
	// +optional
	Labels *NodeLabels `json:"labels,omitempty"`

	// annotations restricts the annotations a kubelet gives its Node. Annotations drive network plugins, cloud controllers
	// and autoscalers.
	// Omitted: annotations are not restricted. Empty ({}): only the three keys that a kubelet manages itself.
	// +optional
	Annotations *NodeAnnotations `json:"annotations,omitempty"`

	// taints restricts the taints with which a kubelet registers its Node, the only time a kubelet may set them.
	// Omitted: taints are not restricted. Empty ({}): any taints except node.kubernetes.io/out-of-service at registration, and no
	// change later.
	// +optional
	Taints *NodeTaints `json:"taints,omitempty"`

	// finalizers forbids a kubelet to add or remove finalizers of its Node: an added one makes the deletion of the Node
	// hang, a removed one skips the clean-up that waits behind it.
	// Omitted: finalizers are not restricted. Empty ({}): none may be added or removed.
	// +optional
	Finalizers *NodeFinalizers `json:"finalizers,omitempty"`

	// ownerReferences forbids a kubelet to give its Node owners: when an owner goes, the garbage collector deletes the Node,
	// and the kubelet can register it again with other labels and taints.
	// Omitted: owner references are not restricted. Empty ({}): none at registration, and no change later.
	// +optional
	OwnerReferences *NodeOwnerReferences `json:"ownerReferences,omitempty"` //nolint:kubeapilinter // Named like the field it restricts.

	// managedFields forbids a kubelet to own fields of its Node that it does not change. With server-side apply it becomes a
	// co-owner of an administrator's labels, annotations and taints, which then stay when the administrator no longer applies them.
	// Omitted: not restricted. Empty ({}): no entry of operation Apply, and ownership follows from changes only.
	// +optional
	ManagedFields *NodeManagedFields `json:"managedFields,omitempty"`

	// unschedulable restricts whether a kubelet may cordon or uncordon its Node. A stock kubelet does neither.
	// Omitted: not restricted. Empty ({}): neither.
	// +optional
	Unschedulable *NodeUnschedulable `json:"unschedulable,omitempty"`

	// podCIDRs forbids a kubelet to choose the addresses of its pods: with another's range it receives traffic that network
	// policies and routes mean for others.
	// Omitted: not restricted. Empty ({}): none at registration, and no change later.
	// +optional
	PodCIDRs *NodePodCIDRs `json:"podCIDRs,omitempty"`

	// providerID binds the Node to its machine: with another's provider ID a kubelet takes the addresses, zone and fate of
	// another instance in the eyes of the cloud controller and autoscaler.
	// Omitted: not restricted. Empty ({}): any at registration, and no change later.
	// +optional
	ProviderID *NodeProviderID `json:"providerID,omitempty"`

	// otherSpec freezes each field of spec that no other rule is about, also those that this program does not know yet.
	// Omitted: not restricted. Empty ({}): no change; externalID, podPreemptionPolicy and configSource not at registration.
	// +optional
	OtherSpec *NodeOtherSpec `json:"otherSpec,omitempty"`

	// addresses restricts the addresses a kubelet reports. The API server connects to them for logs and exec, and approvers
	// of certificates compare with them. A kubelet may remove some, but not the last IP address.
	// Omitted: not restricted. Empty ({}): only InternalIP and the Node's own name as Hostname, no loopback, link-local,
	// multicast or unspecified address.
	// +optional
	Addresses *NodeAddresses `json:"addresses,omitempty"`

	// kubeletPorts restricts the port to which the API server connects for logs and exec.
	// Omitted: not restricted. Empty ({}): no privileged port, and none of etcd's or an API server's (2379, 2380, 6443).
	// +optional
	KubeletPorts *NodeKubeletPorts `json:"kubeletPorts,omitempty"`

	// conditions restricts which conditions a kubelet may write. Others drain and repair nodes by theirs.
	// Omitted: not restricted. Empty ({}): only Ready, MemoryPressure, DiskPressure and PIDPressure.
	// +optional
	Conditions *NodeConditions `json:"conditions,omitempty"` //nolint:kubeapilinter // It is the rule about conditions, and has none.

	// capacity bounds the capacity and allocatable resources a kubelet reports: an inflated node draws pods to itself. What
	// grows is looked at only.
	// Omitted: not bounded. Empty ({}): at most what a single machine can have: 4096 CPUs, 64 TiB of memory, 10,000 pods.
	// +optional
	Capacity *NodeCapacity `json:"capacity,omitempty"`

	// extendedResources restricts the resources that device plugins report, such as nvidia.com/gpu.
	// Omitted: not restricted. Empty ({}): those the Node has, and no more of them; a device plugin's first registration is
	// then denied, so list what your plugins report.
	// +optional
	ExtendedResources *NodeExtendedResources `json:"extendedResources,omitempty"`

	// images restricts the list of images a kubelet reports. The scheduler prefers nodes that have a pod's image.
	// Omitted: not restricted. Empty ({}): at most 50 images, a kubelet's default, with at most 5 names each.
	// +optional
	Images *NodeImages `json:"images,omitempty"`

	// info restricts what a kubelet reports of its machine.
	// Omitted: not restricted. Empty ({}): operating system and architecture never change, and no label contradicts them.
	// +optional
	Info *NodeInfo `json:"info,omitempty"`

	// volumes bounds the volumes a kubelet reports as in use: a volume that is never released is never detached.
	// Omitted: not bounded. Empty ({}): at most 256, when the number grows.
	// +optional
	Volumes *NodeVolumes `json:"volumes,omitempty"`

	// reservedStatus forbids a kubelet to write the fields of status that belong to controllers: volumesAttached, phase and
	// config.
	// Omitted: not restricted. Empty ({}): none of them at registration, and no change later.
	// +optional
	ReservedStatus *NodeReservedStatus `json:"reservedStatus,omitempty"`

	// features restricts the features a kubelet declares, by which the scheduler and admission choose nodes.
	// Omitted: not restricted. Empty ({}): at most 256 names.
	// +optional
	Features *NodeFeatures `json:"features,omitempty"`

	// unknownFields forbids changes of fields that this program does not know, so that a field newer than the program is not
	// a hole. A newer kubelet than the program may be denied by it.
	// Omitted: not restricted. Empty ({}): no change of an unknown field.
	// +optional
	UnknownFields *NodeUnknownFields `json:"unknownFields,omitempty"`
}

// NodeLabels restricts the labels of a Node. The labels that every kubelet computes itself
// (kubernetes.io/hostname, /os, /arch and their beta forms, node.kubernetes.io/windows-build) are always allowed, but
// kubernetes.io/hostname can be set only to the Node's own name.
type NodeLabels struct {
	// registration restricts the labels a Node is registered with: those of the kubelet's --node-labels flag.
	// Omitted or empty ({}): any label except those that Kubernetes reserves (under kubernetes.io or k8s.io, unless the
	// NodeRestriction plugin lets kubelets set them).
	// +optional
	Registration *NodeRegistrationLabels `json:"registration,omitempty"`

	// update restricts changes to the labels of a registered Node.
	// Omitted or empty ({}): only the kubelet's own labels may change, only its zone, region and instance type may go, and only
	// topology labels of CSI drivers may be added.
	// +optional
	Update *NodeUpdateLabels `json:"update,omitempty"`
}

// NodeRegistrationLabels restricts the labels a Node is registered with.
type NodeRegistrationLabels struct {
	// allowed are patterns on the labels that a kubelet may register with, besides those that every kubelet computes
	// itself. A key that Kubernetes reserves is allowed only if a pattern whose key is not * matches it.
	// Omitted: any label whose key Kubernetes does not reserve.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Allowed []KeyValuePattern `json:"allowed,omitempty"`

	// denied are patterns on the labels that a kubelet may not register with, even if allowed names them. A kubelet may not add
	// them later either, nor change another value to them, unless a pattern in update.allowed has the same key without an asterisk.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Denied []KeyValuePattern `json:"denied,omitempty"`

	// required are patterns on labels; a kubelet must register with at least one label for each.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Required []KeyValuePattern `json:"required,omitempty"`
}

// LabelAdditions says which labels a kubelet may add to its registered Node.
//
// +kubebuilder:validation:Enum=Any;CSI;Listed
type LabelAdditions string

const (
	// AdditionsAny lets a kubelet add any label that Kubernetes does not reserve.
	AdditionsAny LabelAdditions = "Any"
	// AdditionsCSI lets a kubelet add any label that Kubernetes does not reserve, but only through nodes/status, and only
	// while the annotation csi.volume.kubernetes.io/nodeid of the Node has a driver that a CSIDriver object names; any driver,
	// if the cluster has no CSIDriver.
	AdditionsCSI LabelAdditions = "CSI"
	// AdditionsListed lets a kubelet add only its own labels and those in update.allowed.
	AdditionsListed LabelAdditions = "Listed"
)

// NodeUpdateLabels restricts changes to the labels of a registered Node.
type NodeUpdateLabels struct {
	// allowed are patterns on the labels that a kubelet may add, change and remove, besides its own. A pattern with a value
	// must match the old value, too, where a label is changed or removed. A key that Kubernetes reserves is allowed only if a
	// pattern whose key is not * matches it.
	// Omitted: none besides its own.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Allowed []KeyValuePattern `json:"allowed,omitempty"`

	// fixed are patterns on the labels that a kubelet may not add, change or remove after registration, even if allowed names
	// them, such as topology.kubernetes.io/*. A pattern with a value fixes the labels that have this value before or after the
	// write. The labels that every kubelet computes itself are never fixed. A kubelet with an external cloud provider does not
	// compute the zone, region and instance type: the cloud controller sets them. But at a restart a kubelet repairs those in its
	// --node-labels flag. If one is fixed and its Node has another value, the kubelet reports no status until they agree.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Fixed []KeyValuePattern `json:"fixed,omitempty"`

	// additions says which labels a kubelet may add besides its own and the allowed ones, among those that Kubernetes does
	// not reserve: Any; CSI, only while the Node has the node ID of a driver that a CSIDriver object names (any driver, if the
	// cluster has no CSIDriver), since the driver chooses the keys of its topology labels, and a kubelet adds the missing ones
	// whenever it registers the driver; or only the Listed. With CSI, the kubelet of a node with a CSI driver can add any such
	// label. With Listed, name the topology keys of your CSI drivers in allowed, or their volumes fail on new nodes.
	// Omitted: CSI.
	// +optional
	Additions LabelAdditions `json:"additions,omitempty"`
}

// CIDR is a range of IP addresses, such as 10.0.0.0/8 or fd00::/8.
//
// +kubebuilder:validation:MinLength=4
// +kubebuilder:validation:MaxLength=49
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be a CIDR such as 10.0.0.0/8 or fd00::/8"
type CIDR string

// NodeAnnotations restricts the annotations of a Node, at registration and later. The keys that a kubelet manages itself
// (volumes.kubernetes.io/controller-managed-attach-detach, alpha.kubernetes.io/provided-node-ip and
// csi.volume.kubernetes.io/nodeid) are always allowed.
type NodeAnnotations struct {
	// allowed are patterns on the annotations that a kubelet may add, change and remove, besides its own three. A pattern with a
	// value must match the old value, too, where an annotation is changed or removed.
	// Omitted: none besides its own.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Allowed []KeyValuePattern `json:"allowed,omitempty"`

	// providedNodeIPCIDRs are the ranges from which a kubelet may take the addresses in its annotation
	// alpha.kubernetes.io/provided-node-ip, from which a cloud controller chooses the address of the Node.
	// Omitted: any address.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	ProvidedNodeIPCIDRs []CIDR `json:"providedNodeIPCIDRs,omitempty"`

	// providedNodeIPOfOtherNodes says whether an address in the annotation alpha.kubernetes.io/provided-node-ip may be one that
	// another Node reports. Deny has each replica of the program watch the addresses of all Nodes, and denies a machine that has
	// got the address of a Node which still exists. A write violates the rule if the addresses cannot be looked up.
	// Omitted: Allow.
	// +optional
	ProvidedNodeIPOfOtherNodes Access `json:"providedNodeIPOfOtherNodes,omitempty"`

	// maxTotalBytes bounds the size of what a kubelet may store in annotations: the keys and values, in bytes, of all
	// annotations that it may write. Only a write that makes them larger is measured.
	// Omitted: 65536.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=262144
	MaxTotalBytes int32 `json:"maxTotalBytes,omitempty"`
}

// NodeTaints restricts the taints with which a Node is registered. After registration a kubelet may not change taints. The
// taint node.kubernetes.io/not-ready:NoSchedule, which the API server itself adds, and
// node.cloudprovider.kubernetes.io/uninitialized:NoSchedule, which a kubelet with an external cloud provider adds, are
// always allowed. The taint node.kubernetes.io/out-of-service, with which controllers take volumes away from a machine that is off, is
// allowed only if a pattern in allowed or required whose key is not * matches it.
type NodeTaints struct {
	// allowed are the taints with which a kubelet may register.
	// Omitted: any except node.kubernetes.io/out-of-service.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Allowed []TaintPattern `json:"allowed,omitempty"`

	// required are the taints with which a kubelet must register, all of them.
	// Omitted: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Required []TaintPattern `json:"required,omitempty"`

	// removable are the taints that a node agent may remove, such as the start-up taint of its CSI driver. It needs subjects.
	// Omitted: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Removable []TaintPattern `json:"removable,omitempty"`
}

// TaintPattern describes taints.
type TaintPattern struct {
	// key is a pattern on the taint's key.
	// +required
	Key Pattern `json:"key,omitempty"`

	// value is a pattern on the taint's value.
	// Omitted: any value, also none.
	// +optional
	Value Pattern `json:"value,omitempty"`

	// effect is the taint's effect.
	// Omitted: any effect.
	// +optional
	// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
	Effect corev1.TaintEffect `json:"effect,omitempty"`
}

// NodeFinalizers restricts the finalizers of a Node, at registration and later.
type NodeFinalizers struct {
	// allowed are patterns on finalizers that a kubelet may add and remove.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Allowed []Pattern `json:"allowed,omitempty"`
}

// NodeOwnerReferences forbids owner references of a Node. It has no fields: a kubelet never needs one.
type NodeOwnerReferences struct{}

// NodeManagedFields forbids ownership of fields that a kubelet does not change. It has no fields: a kubelet never applies.
type NodeManagedFields struct{}

// UnschedulableChanges says what a kubelet may do to its Node's spec.unschedulable.
//
// +kubebuilder:validation:Enum=None;Cordon;Any
type UnschedulableChanges string

const (
	// UnschedulableNone forbids a kubelet to register unschedulable, to cordon and to uncordon.
	UnschedulableNone UnschedulableChanges = "None"
	// UnschedulableCordon lets a kubelet register unschedulable and cordon, but not uncordon.
	UnschedulableCordon UnschedulableChanges = "Cordon"
	// UnschedulableAny lets a kubelet cordon and uncordon, as Talos workers do.
	UnschedulableAny UnschedulableChanges = "Any"
)

// NodeUnschedulable restricts spec.unschedulable of a Node.
type NodeUnschedulable struct {
	// changes says what a kubelet may do: None, Cordon (but not uncordon) or Any.
	// Omitted: None.
	// +optional
	Changes UnschedulableChanges `json:"changes,omitempty"`
}
