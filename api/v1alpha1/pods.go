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
}

// MirrorPodNames binds the name of a mirror pod to its node. It has no fields: a kubelet never names one otherwise.
type MirrorPodNames struct{}

// MirrorPodNamespaces restricts where a kubelet may create mirror pods.
type MirrorPodNamespaces struct {
	// allowed are patterns on namespaces.
	// Omitted or empty: [kube-system].
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Allowed []Pattern `json:"allowed,omitempty"`
}

// MirrorPodLabels restricts the labels of mirror pods. Patterns are on keys. The labels topology.kubernetes.io/zone and
// /region, which the API server itself copies from the Node to the pod, are always allowed.
type MirrorPodLabels struct {
	// allowed are patterns on label keys of mirror pods. A label by which a controller owns its pods (pod-template-hash,
	// controller-revision-hash, job-name and the like) is allowed only if a pattern other than * matches it.
	// Omitted or empty: any key but those.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	Allowed []Pattern `json:"allowed,omitempty"`

	// denied are patterns on label keys that a mirror pod may not have, even if allowed names them.
	// Omitted or empty: none but those by which controllers own their pods.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	Denied []Pattern `json:"denied,omitempty"`
}

// MirrorPodFinalizers restricts the finalizers of mirror pods.
type MirrorPodFinalizers struct {
	// allowed are patterns on finalizers that a mirror pod may have, for static pod manifests that carry one.
	// Omitted or empty: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Allowed []Pattern `json:"allowed,omitempty"`
}

// PodRules are the rules for what a kubelet writes to existing pods. An omitted section is a rule that is off.
type PodRules struct {
	// metadata forbids a kubelet to change labels, annotations and finalizers of pods through pods/status. A kubelet's
	// own status update carries none of them.
	// Omitted: metadata is not restricted. Empty ({}): nothing may change.
	// +optional
	Metadata *PodMetadata `json:"metadata,omitempty"`
}

// PodMetadata forbids changes of a pod's metadata.
type PodMetadata struct {
	// allowedAnnotations are patterns on annotation keys that may change all the same, for network plugins that annotate
	// pods with the kubelet's credential.
	// Omitted or empty: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	AllowedAnnotations []Pattern `json:"allowedAnnotations,omitempty"`
}
