// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// MirrorPodRules are the rules for the pods a kubelet creates. An omitted section is a rule that is off.
type MirrorPodRules struct {
	// names binds the name of a mirror pod to its node. A kubelet names each mirror pod <static pod>-<node>; another name
	// can take the place of a pod that a controller is about to create.
	// Omitted: names are not restricted. Empty ({}): the name ends in "-" and the node name in lower case, and is not
	// generated.
	// +optional
	Names *MirrorPodNames `json:"names,omitempty"`

	// namespaces restricts where a kubelet may create mirror pods. In another's namespace a mirror pod uses up quota and,
	// with the right labels, takes the traffic of a Service.
	// Omitted: any namespace. Empty ({}): kube-system only.
	// +optional
	Namespaces *MirrorPodNamespaces `json:"namespaces,omitempty"`

	// labels restricts the labels of mirror pods. Labels make a pod an endpoint of a Service, or one of a ReplicaSet's.
	// Omitted: labels are not restricted. Empty ({}): any label but those by which controllers own their pods.
	// +optional
	Labels *MirrorPodLabels `json:"labels,omitempty"`

	// finalizers forbids finalizers on mirror pods: with one the deletion of the pod, and of its namespace, hangs.
	// Omitted: finalizers are not restricted. Empty ({}): none.
	// +optional
	Finalizers *MirrorPodFinalizers `json:"finalizers,omitempty"`

	// managedFields forbids mirror pods that somebody seems to have applied.
	// Omitted: not restricted. Empty ({}): no entry of operation Apply.
	// +optional
	ManagedFields *MirrorPodManagedFields `json:"managedFields,omitempty"`

	// annotations binds the annotations that make a pod a mirror pod to each other.
	// Omitted: not restricted. Empty ({}): kubernetes.io/config.hash equals kubernetes.io/config.mirror, and
	// kubernetes.io/config.source is file or http; other annotations are free.
	// +optional
	Annotations *MirrorPodAnnotations `json:"annotations,omitempty"`

	// references forbids references to API objects that the NodeRestriction plugin, or an older version of it, does not look for.
	// Omitted: not restricted. Empty ({}): no scheduling group, no resource claims, no ephemeral, CSI or Glusterfs volume, and no
	// projected service account token, trust bundle or pod certificate.
	// +optional
	References *MirrorPodReferences `json:"references,omitempty"` //nolint:kubeapilinter // It is the rule about references, and has none.

	// placement forbids what binds other pods: a mirror pod is placed already.
	// Omitted: not restricted. Empty ({}): no pod affinity or anti-affinity, no topology spread constraints.
	// +optional
	Placement *MirrorPodPlacement `json:"placement,omitempty"`

	// priorityClasses restricts the priority of mirror pods, by which the scheduler and kubelet prefer them to others.
	// Omitted: not restricted. Empty ({}): system-node-critical, system-cluster-critical, or no class, in any namespace.
	// +optional
	PriorityClasses *MirrorPodPriorityClasses `json:"priorityClasses,omitempty"`

	// hostAccess restricts what a mirror pod shows of access to the host. It does not protect the host, which the kubelet
	// runs; it keeps a pod that no one would have admitted from looking admitted.
	// Omitted: not restricted. Empty ({}): the host's network and paths are allowed; its PID and IPC namespaces and
	// privileged containers are not.
	// +optional
	HostAccess *MirrorPodHostAccess `json:"hostAccess,omitempty"`

	// readinessGates forbids readiness gates: the controller of a load balancer may treat a pod with its gate as a target.
	// Omitted: not restricted. Empty ({}): no readiness gate.
	// +optional
	ReadinessGates *MirrorPodReadinessGates `json:"readinessGates,omitempty"`
}

// MirrorPodNames binds the name of a mirror pod to its node. It has no fields: a kubelet never names one otherwise.
type MirrorPodNames struct{}

// MirrorPodNamespaces restricts where a kubelet may create mirror pods.
type MirrorPodNamespaces struct {
	// allowed are patterns on namespaces.
	// Omitted: [kube-system].
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Allowed []Pattern `json:"allowed,omitempty"`
}

// MirrorPodLabels restricts the labels of mirror pods. The labels topology.kubernetes.io/zone and /region, which the API server
// itself copies from the Node to the pod, are always allowed.
type MirrorPodLabels struct {
	// allowed are patterns on the labels that a mirror pod may have. A label by which a controller owns its pods
	// (pod-template-hash, controller-revision-hash, job-name and the like) is allowed only if a pattern whose key is not *
	// matches it.
	// Omitted: any label except those.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Allowed []KeyValuePattern `json:"allowed,omitempty"`

	// denied are patterns on the labels that a mirror pod may not have, even if allowed names them.
	// Omitted: only those by which controllers own their pods.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Denied []KeyValuePattern `json:"denied,omitempty"`
}

// MirrorPodFinalizers restricts the finalizers of mirror pods.
type MirrorPodFinalizers struct {
	// allowed are patterns on finalizers that a mirror pod may have, for static pod manifests that carry one.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Allowed []Pattern `json:"allowed,omitempty"`
}

// MirrorPodManagedFields forbids entries of operation Apply. It has no fields: a kubelet never applies.
type MirrorPodManagedFields struct{}

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

// MirrorPodAnnotations restricts the annotations of mirror pods.
type MirrorPodAnnotations struct {
	// allowed are patterns on the annotations that a mirror pod may have besides those under kubernetes.io/config.
	// Omitted: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Allowed []KeyValuePattern `json:"allowed,omitempty"`
}

// MirrorPodReferences forbids references to API objects. It has no fields.
type MirrorPodReferences struct{}

// MirrorPodPlacement forbids constraints on other pods. It has no fields.
type MirrorPodPlacement struct{}

// MirrorPodPriorityClasses restricts the priority class of mirror pods.
type MirrorPodPriorityClasses struct {
	// allowed are patterns on names of priority classes; having no class is always allowed.
	// Omitted: [system-node-critical, system-cluster-critical].
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Allowed []Pattern `json:"allowed,omitempty"`

	// systemNamespaces are patterns on the namespaces in which a mirror pod may have a system priority: a class whose name begins
	// with system-, or a priority of 2000000000 or more.
	// Omitted: any namespace.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	SystemNamespaces []Pattern `json:"systemNamespaces,omitempty"`
}

// MirrorPodHostAccess restricts what a mirror pod shows of access to the host.
type MirrorPodHostAccess struct {
	// hostNetwork says whether a mirror pod may use the host's network.
	// Omitted: Allow.
	// +optional
	HostNetwork Access `json:"hostNetwork,omitempty"`

	// hostPID says whether a mirror pod may use the host's PID namespace.
	// Omitted: Deny.
	// +optional
	HostPID Access `json:"hostPID,omitempty"`

	// hostIPC says whether a mirror pod may use the host's IPC namespace.
	// Omitted: Deny.
	// +optional
	HostIPC Access `json:"hostIPC,omitempty"`

	// privileged says whether a mirror pod may have privileged containers.
	// Omitted: Deny.
	// +optional
	Privileged Access `json:"privileged,omitempty"`

	// hostPathPrefixes are the directories of the host that the hostPath volumes of mirror pods may use.
	// Omitted: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:items:Pattern=`^/`
	HostPathPrefixes []string `json:"hostPathPrefixes,omitempty"`
}

// MirrorPodReadinessGates forbids readiness gates of mirror pods.
type MirrorPodReadinessGates struct {
	// allowed are patterns on the condition types of readiness gates that a mirror pod may have, for webhooks that add them to pods.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Allowed []Pattern `json:"allowed,omitempty"`
}

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
