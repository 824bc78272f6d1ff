// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodeRestrictionPolicy restricts what kubelets may write to their Node and to the pods on it. All policies that match a
// kubelet hold together: every violation of every policy is reported, and one Deny is enough to deny the write.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=nrp,categories=noderestriction
// +kubebuilder:printcolumn:name="Actions",type=string,JSONPath=`.spec.validationActions`,description="What happens to a write that violates the policy"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the policy is enforced as written"
// +kubebuilder:printcolumn:name="Denied",type=integer,JSONPath=`.status.violations.denied.total`,description="How many writes this policy has denied"
// +kubebuilder:printcolumn:name="Warned",type=integer,JSONPath=`.status.violations.warned.total`,description="How many writes this policy has only warned about",priority=1
// +kubebuilder:printcolumn:name="Audited",type=integer,JSONPath=`.status.violations.audited.total`,description="How many writes this policy has only recorded"
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.since`,description="How long this generation of the policy has been in force"
// +kubebuilder:printcolumn:name="Last violation",type=date,JSONPath=`.status.violations.lastTime`,description="When a write last violated this policy",priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NodeRestrictionPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec says which kubelets are restricted, in what, and what happens to a write that violates it.
	// +required
	Spec NodeRestrictionPolicySpec `json:"spec,omitzero"`

	// status is what the program observed of this policy. Omitted until a replica has seen the policy.
	// +optional
	Status *NodeRestrictionPolicyStatus `json:"status,omitempty"`
}

// NodeRestrictionPolicyList is a list of NodeRestrictionPolicy.
//
// +kubebuilder:object:root=true
type NodeRestrictionPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list's metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the policies.
	Items []NodeRestrictionPolicy `json:"items"`
}

// ValidationAction is what happens to a write that violates a policy.
//
// +kubebuilder:validation:Enum=Deny;Warn;Audit
type ValidationAction string

const (
	// Deny refuses the write with 403 Forbidden and records the denial.
	Deny ValidationAction = "Deny"
	// Warn lets the write through, sends the client a warning and records the violation.
	Warn ValidationAction = "Warn"
	// Audit lets the write through, adds an audit annotation and records the violation.
	Audit ValidationAction = "Audit"
)

// NodeRestrictionPolicySpec is what a policy restricts. A rule whose section is omitted is off; a rule whose section is
// empty ({}) is at its strictest that a stock kubelet still passes. A list is omitted or has an element: an empty list is
// invalid. Server-side apply owns match, nodes, mirrorPods, pods and each section beside them as a whole.
//
// +kubebuilder:validation:XValidation:rule="!has(self.lockdown) || has(self.match) && has(self.match.nodeNames)",message="lockdown needs match.nodeNames"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.baseline))",message="must not be set beside subjects: it is for kubelets only",fieldPath=".baseline"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !has(self.mirrorPods) || !(has(self.mirrorPods.names) || has(self.mirrorPods.namespaces) || has(self.mirrorPods.labels) || has(self.mirrorPods.finalizers) || has(self.mirrorPods.managedFields) || has(self.mirrorPods.annotations) || has(self.mirrorPods.references) || has(self.mirrorPods.placement) || has(self.mirrorPods.priorityClasses) || has(self.mirrorPods.hostAccess) || has(self.mirrorPods.readinessGates))",message="must not be set beside subjects: it is for kubelets only",fieldPath=".mirrorPods"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.serviceAccountTokens))",message="must not be set beside subjects: it is for kubelets only",fieldPath=".serviceAccountTokens"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.csiNodes))",message="must not be set beside subjects: it is for kubelets only",fieldPath=".csiNodes"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.resourceSlices))",message="must not be set beside subjects: it is for kubelets only",fieldPath=".resourceSlices"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.events))",message="must not be set beside subjects: it is for kubelets only",fieldPath=".events"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.names))",message="must not be set beside subjects: it is for kubelets only",fieldPath=".nodes.names"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.labels) && has(self.nodes.labels.registration))",message="beside subjects, registration must not be set: it is for kubelets only",fieldPath=".nodes.labels"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.labels) && has(self.nodes.labels.update) && has(self.nodes.labels.update.additions))",message="beside subjects, additions must not be set: it is for kubelets only",fieldPath=".nodes.labels.update"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.annotations) && (has(self.nodes.annotations.providedNodeIPCIDRs) || has(self.nodes.annotations.providedNodeIPOfOtherNodes)))",message="beside subjects, providedNodeIPCIDRs and providedNodeIPOfOtherNodes must not be set: they are for kubelets only",fieldPath=".nodes.annotations"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.taints) && (has(self.nodes.taints.allowed) || has(self.nodes.taints.required)))",message="beside subjects, allowed and required must not be set: they are for kubelets only",fieldPath=".nodes.taints"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.providerID) && (has(self.nodes.providerID.allowed) || has(self.nodes.providerID.ofOtherNodes)))",message="beside subjects, allowed and ofOtherNodes must not be set: they are for kubelets only",fieldPath=".nodes.providerID"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.kubeletPorts) && has(self.nodes.kubeletPorts.allowed))",message="beside subjects, allowed must not be set: it is for kubelets only",fieldPath=".nodes.kubeletPorts"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.images) && (has(self.nodes.images.maxCount) || has(self.nodes.images.allowedRepositories)))",message="beside subjects, maxCount and allowedRepositories must not be set: they are for kubelets only",fieldPath=".nodes.images"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.info) && (has(self.nodes.info.allowed) || has(self.nodes.info.machineChanges)))",message="beside subjects, allowed and machineChanges must not be set: they are for kubelets only",fieldPath=".nodes.info"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.volumes) && has(self.nodes.volumes.maxInUse))",message="beside subjects, maxInUse must not be set: it is for kubelets only",fieldPath=".nodes.volumes"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.nodes) && has(self.nodes.features) && has(self.nodes.features.allowed))",message="beside subjects, allowed must not be set: it is for kubelets only",fieldPath=".nodes.features"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.pods) && has(self.pods.ips) && (has(self.pods.ips.podIPs) || has(self.pods.ips.hostIPs)))",message="beside subjects, podIPs and hostIPs must not be set: they are for kubelets only",fieldPath=".pods.ips"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects) || !(has(self.pods) && has(self.pods.deletion) && has(self.pods.deletion.mode))",message="beside subjects, mode must not be set: it is for kubelets only",fieldPath=".pods.deletion"
// +kubebuilder:validation:XValidation:rule="has(self.subjects) || !(has(self.objects))",message="must not be set without subjects: it is for node agents only",fieldPath=".objects"
// +kubebuilder:validation:XValidation:rule="has(self.subjects) || !(has(self.nodes) && has(self.nodes.taints) && has(self.nodes.taints.removable))",message="must not be set without subjects: it is for node agents only",fieldPath=".nodes.taints.removable"
// +kubebuilder:validation:XValidation:rule="has(self.subjects) || !(has(self.pods) && has(self.pods.spec))",message="must not be set without subjects: it is for node agents only",fieldPath=".pods.spec"
type NodeRestrictionPolicySpec struct {
	// validationActions says what happens to a write that violates this policy: Deny refuses it, Warn sends the client a
	// warning, Audit leaves an audit annotation. Each violation is recorded whatever the action. Deny and Warn cannot be
	// combined, since a denied write already carries the message. At least one is required.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a == b))",message="an action must not be listed twice"
	// +kubebuilder:validation:XValidation:rule="!(self.exists(a, a == 'Deny') && self.exists(a, a == 'Warn'))",message="Deny and Warn cannot be combined: a denied write already carries the message"
	ValidationActions []ValidationAction `json:"validationActions,omitempty"`

	// subjects makes this a policy for node agents, the pods of DaemonSets that write with service accounts of their own. A policy is for
	// kubelets or for node agents, never for both. For node agents, nothing is built in: {} in a section means that nothing of it may
	// change, and a list has what may; docs/node-agents.md says which sections there are. The chart sends the writes of the service
	// accounts and user names that its value subjects names.
	// Omitted: the policy is for kubelets.
	// +optional
	// +structType=atomic
	Subjects *Subjects `json:"subjects,omitempty"`

	// match says which kubelets this policy restricts. A policy with subjects restricts the node agents on these nodes.
	// Omitted or empty ({}): all kubelets.
	// +optional
	// +structType=atomic
	Match *Match `json:"match,omitempty"`

	// baseline checks what the in-tree admission plugin NodeRestriction checks, for clusters where that is off.
	// Omitted: off. Empty ({}): for nodes and pods.
	// +optional
	// +structType=atomic
	Baseline *Baseline `json:"baseline,omitempty"`

	// nodes has the rules for what a kubelet writes to Nodes: at registration (CREATE nodes) and later through nodes and
	// nodes/status.
	// Omitted or empty ({}): no rule for Nodes.
	// +optional
	// +structType=atomic
	Nodes NodeRules `json:"nodes,omitzero"` //nolint:kubeapilinter // Empty is as good as omitted: no section, no rule.

	// mirrorPods has the rules for the pods a kubelet creates. A stock kubelet creates only mirror pods, which show a static
	// pod in the API. Denying a mirror pod does not stop the static pod: it keeps running, unseen by the API.
	// Omitted or empty ({}): no rule for created pods.
	// +optional
	// +structType=atomic
	MirrorPods MirrorPodRules `json:"mirrorPods,omitzero"` //nolint:kubeapilinter // Empty is as good as omitted: no section, no rule.

	// pods has the rules for what a kubelet writes to existing pods, through pods/status.
	// Omitted or empty ({}): no rule for existing pods.
	// +optional
	// +structType=atomic
	Pods PodRules `json:"pods,omitzero"` //nolint:kubeapilinter // Empty is as good as omitted: no section, no rule.

	// serviceAccountTokens restricts the tokens that a kubelet requests for the pods on its node. The chart sends these writes
	// only if its value rules.serviceAccountTokens is set.
	// Omitted: not restricted. Empty ({}): tokens of any service account, for a day at most.
	// +optional
	// +structType=atomic
	ServiceAccountTokens *ServiceAccountTokens `json:"serviceAccountTokens,omitempty"`

	// csiNodes restricts the metadata of CSINodes: with a finalizer the deletion of one hangs, with a foreign owner it goes
	// when the owner goes. The chart sends these writes only if its value rules.csiNodes is set.
	// Omitted: not restricted. Empty ({}): no finalizers, and no owner but the Node of the same name.
	// +optional
	// +structType=atomic
	CSINodes *CSINodes `json:"csiNodes,omitempty"`

	// resourceSlices keeps a kubelet from offering devices: a stock kubelet only deletes ResourceSlices. Most drivers write
	// them with credentials of their own, but AKS's managed driver for NVIDIA GPUs writes as the kubelet. The chart sends these
	// writes only if its value rules.resourceSlices is set.
	// Omitted: not restricted. Empty ({}): deletion only.
	// +optional
	// +structType=atomic
	ResourceSlices *ResourceSlices `json:"resourceSlices,omitempty"`

	// lockdown denies every write of the matched kubelets that is sent to the webhook, for a node that is compromised: a client
	// certificate cannot be revoked. Leases and heartbeats that change nothing are not sent, nor what the chart does not send, and
	// reads are not writes: see docs/node-compromised.md. It needs match.nodeNames.
	// Omitted: off. Empty ({}): nothing may be written.
	// +optional
	// +structType=atomic
	Lockdown *Lockdown `json:"lockdown,omitempty"`

	// objects binds node agents to the objects of other kinds that name their node, such as the ResourceSlices of a DRA driver.
	// Omitted: not restricted. It needs subjects.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Objects []ObjectsOfNode `json:"objects,omitempty"`

	// events restricts the objects about which a kubelet writes events, which nothing else limits. Each event about a pod costs
	// a lookup. The chart sends these writes only if its value rules.events is set.
	// Omitted: not restricted. Empty ({}): only its own Node and the pods on it.
	// +optional
	// +structType=atomic
	Events *Events `json:"events,omitempty"`
}

// Pattern is an exact string, or one in which each * stands for any run of characters, also an empty one and also across
// dots and slashes. Matching is case-sensitive and takes linear time. Printable ASCII without spaces, 1 to 317 characters
// (the longest label key).
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=317
// +kubebuilder:validation:Pattern=`^[!-~]+$`
type Pattern string

// Lockdown denies every write. It has no fields: an exception would be a way out.
type Lockdown struct{}

// KeyValuePattern is a pattern on the key of a label or an annotation, such as example.com/*, or patterns on its key and its value,
// such as example.com/pool=gpu-*. The first = separates them. Without = any value matches; with nothing behind it, only the empty value.
// Each * stands for any run of characters. Printable ASCII, no spaces in the key, 1 to 512 characters.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:Pattern=`^[!-<>-~]+(=[ -~]*)?$`
type KeyValuePattern string

// Match says which kubelets a policy restricts. All given fields must hold. Names are those in the credential
// (system:node:<name>), which a kubelet cannot choose.
type Match struct {
	// nodeNames are patterns on the node name; one must match.
	// Omitted: every name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	NodeNames []Pattern `json:"nodeNames,omitempty"`

	// excludeNodeNames are patterns on the node name; none may match.
	// Omitted: no name is excluded.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	ExcludeNodeNames []Pattern `json:"excludeNodeNames,omitempty"`

	// nodeSelector selects by the labels of the stored Node; at registration, by those of the submitted Node. Prefer labels
	// that a kubelet cannot set itself, with a key under node-restriction.kubernetes.io/: otherwise the kubelet chooses
	// whether this policy holds for it. An empty selector matches every Node.
	// At most 32 labels and 32 expressions of at most 64 values.
	// Omitted: labels do not matter.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchLabels) || size(self.matchLabels) <= 32",message="must have at most 32 matchLabels"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || size(self.matchExpressions) <= 32",message="must have at most 32 matchExpressions"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, !has(e.values) || size(e.values) <= 64)",message="matchExpressions must have at most 64 values each"
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
}
