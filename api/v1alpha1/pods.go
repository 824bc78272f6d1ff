// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// PodRules are the rules for what a kubelet writes to existing pods. An omitted section is a rule that is off.
type PodRules struct {
	// metadata forbids a kubelet to change labels, annotations and finalizers of pods through pods/status. A kubelet's
	// own status update carries none of them.
	// Omitted: metadata is not restricted. Empty ({}): nothing may change.
	// +optional
	Metadata *PodMetadata `json:"metadata,omitempty"`

	// managedFields forbids a kubelet to own fields of pods by server-side apply through pods/status: it becomes a co-owner of
	// labels and annotations, which then stay when their owner no longer applies them.
	// Omitted: not restricted. Empty ({}): no entry of operation Apply is added, changed or claimed.
	// +optional
	ManagedFields *PodManagedFields `json:"managedFields,omitempty"`

	// self binds a kubelet to the pods on its node.
	// Omitted: other pods are not protected by this policy. Empty ({}): it updates the status of, deletes and evicts only
	// pods that are bound to its node.
	// +optional
	Self *PodSelf `json:"self,omitempty"`

	// conditions restricts which conditions a kubelet may write. Readiness gates belong to others.
	// Omitted: not restricted. Empty ({}): only those that a kubelet writes, and DisruptionTarget only in the write that ends a
	// pod, added with the reason TerminationByKubelet.
	// +optional
	Conditions *PodConditions `json:"conditions,omitempty"` //nolint:kubeapilinter // It is the rule about conditions, and has none.

	// ips restricts the addresses a kubelet reports for pods and hosts. An address of a pod behind a Service receives the
	// Service's traffic. Only added addresses are looked at.
	// Omitted: not restricted. Empty ({}): no loopback, link-local, multicast or unspecified address.
	// +optional
	IPs *PodIPs `json:"ips,omitempty"`

	// phase keeps a finished pod finished, and a running one unfinished. Mirror pods are exempt: they run again after a reboot.
	// Omitted: not restricted. Empty ({}): from Succeeded or Failed no pod goes back to Pending or Running, and none becomes
	// Succeeded in a status that says that a container runs.
	// +optional
	Phase *PodPhase `json:"phase,omitempty"` //nolint:kubeapilinter // It is the rule about phases, and has none.

	// containers binds container statuses to the pod's spec.
	// Omitted: not restricted. Empty ({}): no status for a container that the spec does not have.
	// +optional
	Containers *PodContainers `json:"containers,omitempty"`

	// deletion restricts which pods a kubelet may delete: with its credential it could delete any on its node, past each
	// PodDisruptionBudget.
	// Omitted: not restricted. Empty ({}): mirror pods, and pods that are being deleted already.
	// +optional
	Deletion *PodDeletion `json:"deletion,omitempty"`

	// eviction forbids evictions through the API. A kubelet evicts without.
	// Omitted: not restricted. Empty ({}): none.
	// +optional
	Eviction *PodEviction `json:"eviction,omitempty"`

	// unknownFields forbids changes of fields that this program does not know. A newer kubelet than the program may be
	// denied by it.
	// Omitted: not restricted. Empty ({}): no change of an unknown field.
	// +optional
	UnknownFields *PodUnknownFields `json:"unknownFields,omitempty"`

	// spec forbids node agents to change the spec of pods, such as an image. It needs subjects.
	// Omitted: not restricted. Empty ({}): nothing of it may change.
	// +optional
	Spec *PodSpec `json:"spec,omitempty"`

	// observedGeneration keeps a kubelet from reporting that it has observed changes of a pod that are yet to come. Mirror pods are
	// exempt.
	// Omitted: not restricted. Empty ({}): neither the status nor a condition observes more than the generation of the pod.
	// +optional
	ObservedGeneration *PodObservedGeneration `json:"observedGeneration,omitempty"`
}

// PodMetadata forbids changes of a pod's metadata.
type PodMetadata struct {
	// annotations says which annotations may change.
	// Omitted or empty ({}): none.
	// +optional
	Annotations *PodAnnotations `json:"annotations,omitempty"`
}

// PodAnnotations says which annotations of a pod may change.
type PodAnnotations struct {
	// allowed are patterns on the annotations that may be added, changed and removed, for network plugins that annotate pods with
	// the kubelet's credential. A pattern with a value must match the old value, too, where an annotation is changed or removed.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Allowed []KeyValuePattern `json:"allowed,omitempty"`
}

// PodManagedFields forbids ownership by server-side apply. It has no fields: a kubelet never applies.
type PodManagedFields struct{}

// PodSelf binds a kubelet to the pods on its node. It has no fields.
type PodSelf struct{}

// PodConditions restricts status.conditions of pods.
type PodConditions struct {
	// allowed are patterns on types of conditions that a kubelet may write besides its own.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Allowed []Pattern `json:"allowed,omitempty"`
}

// PodIPs restricts the addresses in a pod's status.
type PodIPs struct {
	// podIPs restricts podIP and podIPs.
	// Omitted or empty ({}): any address but loopback, link-local, multicast and unspecified ones.
	// +optional
	PodIPs *AddressRanges `json:"podIPs,omitempty"`

	// hostIPs restricts hostIP and hostIPs, and the podIPs of pods on the host's network.
	// Omitted or empty ({}): any address but loopback, link-local, multicast and unspecified ones.
	// +optional
	HostIPs *AddressRanges `json:"hostIPs,omitempty"`
}

// AddressSource names where a Node says which addresses are its own.
//
// +kubebuilder:validation:Enum=NodePodCIDRs;NodeAddresses
type AddressSource string

const (
	// FromNodePodCIDRs are the ranges in spec.podCIDRs of the kubelet's Node.
	FromNodePodCIDRs AddressSource = "NodePodCIDRs"
	// FromNodeAddresses are the addresses in status.addresses of the kubelet's Node. A kubelet reports them itself: restrict
	// them with nodes.addresses. A kubelet whose address has changed may be denied until it has reported the new one; it
	// retries every 10 s.
	FromNodeAddresses AddressSource = "NodeAddresses"
)

// AddressRanges says where an added address must be: in one of the ranges, or in what the Node says.
type AddressRanges struct {
	// from allows the addresses that the kubelet's Node says are its own. The Node is read from the API server for each write
	// that adds an address; if that fails the write violates the rule. A Node that says nothing allows nothing beyond
	// allowedCIDRs, and any address if that is empty.
	// Omitted: the Node is not asked.
	// +optional
	From AddressSource `json:"from,omitempty"`

	// allowedCIDRs are ranges in which an added address may be.
	// Omitted: any, unless from is given.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	AllowedCIDRs []CIDR `json:"allowedCIDRs,omitempty"`

	// ofOtherNodes says whether an added address may be one that another Node reports as its own. Deny has each replica of the
	// program watch the addresses of all Nodes. A write violates the rule if they cannot be looked up.
	// Omitted: Allow.
	// +optional
	OfOtherNodes Access `json:"ofOtherNodes,omitempty"`
}

// PodPhase keeps a finished pod finished, and a running one unfinished. It has no fields.
type PodPhase struct{}

// PodContainers binds container statuses to the spec. It has no fields.
type PodContainers struct{}

// PodDeletionMode says which pods a kubelet may delete, besides mirror pods.
//
// +kubebuilder:validation:Enum=Terminating;Finished
type PodDeletionMode string

const (
	// PodDeletionTerminating lets a kubelet delete pods that are being deleted already.
	PodDeletionTerminating PodDeletionMode = "Terminating"
	// PodDeletionFinished lets a kubelet delete a pod as its status manager does: being deleted already, in a terminal
	// phase, with the pod's UID as precondition.
	PodDeletionFinished PodDeletionMode = "Finished"
)

// PodDeletion restricts the deletion of pods.
type PodDeletion struct {
	// mode says which pods a kubelet may delete besides mirror pods: those that are Terminating, or only those that are
	// Finished, as a kubelet does.
	// Omitted: Terminating.
	// +optional
	Mode PodDeletionMode `json:"mode,omitempty"`
}

// PodEviction forbids evictions. It has no fields.
type PodEviction struct{}

// PodUnknownFields forbids changes of unknown fields. It has no fields.
type PodUnknownFields struct{}

// PodObservedGeneration forbids observed generations that do not exist yet. It has no fields.
type PodObservedGeneration struct{}
