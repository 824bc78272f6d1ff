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
