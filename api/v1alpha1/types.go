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

	// match says which kubelets this policy restricts.
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

// NodeRestrictionPolicyStatus is what the program observed of a policy.
type NodeRestrictionPolicyStatus struct {
	// conditions has Ready: True when the policy is enforced as written; False with reason InvalidPolicy and every field
	// error when it is not. A field that does not compile switches off its own rule only, or leaves the last good version of
	// the policy in force; the message says which. Enforced, if the wiring check or the enforcement probe runs: True when API
	// servers call the webhook as it was installed; the message names a webhook that is not called, or no longer sends all writes.
	// Gated, if the webhook follows the policies: True when API servers refuse what the policy denies also while no replica answers;
	// the message names the rules for which they do not.
	// Omitted: the policy has not been seen yet.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation that the conditions speak of.
	// Omitted: the policy has not been seen yet.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// since is when observedGeneration came into force at the last replica that had another generation, or no policy of this name, in
	// force before. A new generation begins again. A replica that starts later does not change it, because it is not ready until it has
	// read the policies.
	// Omitted: no replica has reported it yet.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// evaluated counts the writes of stock kubelets that the latest generation of this policy has evaluated, as far as the replicas have
	// reported them. A rule whose writes it does not have has proved nothing.
	// Omitted: none reported.
	// +optional
	Evaluated *Evaluated `json:"evaluated,omitempty"` //nolint:kubeapilinter // A pointer, as violations is.

	// violations counts the writes that violated this policy, as far as the replicas have reported them: each replica reports
	// at most every 10 seconds. The records are exact.
	// Omitted: none reported.
	// +optional
	Violations *Violations `json:"violations,omitempty"`
}

// Evaluated are the writes that one generation of a policy has evaluated, whatever the result. Only writes that API servers sent to the
// webhook are among them: with the chart's match conditions, updates in which a field changes that a rule reads; with
// webhook.followPolicies, writes that may violate a policy, so that a missing kind of write proves nothing there. Dry runs, answers that
// came too late and writes that could not be evaluated do not count.
type Evaluated struct {
	// generation is the metadata.generation of the policy that has evaluated them.
	// +required
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation,omitempty"`

	// reportTime is when a replica last reported. Each replica reports at most every 10 seconds, and within 15 minutes one of them does,
	// also if nothing was evaluated.
	// +required
	ReportTime metav1.Time `json:"reportTime,omitzero"` //nolint:kubeapilinter // It marshals as a string, and zero is no time.

	// writes are the kinds of writes that were evaluated, of those that stock kubelets make.
	// Omitted: none.
	// +optional
	// +listType=map
	// +listMapKey=write
	// +kubebuilder:validation:MaxItems=32
	Writes []EvaluatedWrites `json:"writes,omitempty"`
}

// EvaluatedWrites are the writes of one kind that a policy has evaluated.
type EvaluatedWrites struct {
	// write is the kind of write: the operation and the resource, with its group and subresource, such as UPDATE nodes/status.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Write string `json:"write,omitempty"`

	// count is how many were evaluated.
	// +required
	// +kubebuilder:validation:Minimum=1
	Count int64 `json:"count,omitempty"`

	// lastTime is when the latest of them was evaluated.
	// +required
	LastTime metav1.Time `json:"lastTime,omitzero"` //nolint:kubeapilinter // It marshals as a string, and zero is no time.
}

// Violations are the writes that violated a policy, by what this policy made of them. Another policy may have denied a write that
// this one only recorded. Dry runs do not count.
type Violations struct {
	// lastTime is when a write last violated the policy.
	// Omitted: never.
	// +optional
	LastTime *metav1.Time `json:"lastTime,omitempty"`

	// denied are the writes that this policy denied.
	// Omitted: none.
	// +optional
	Denied *ViolationCount `json:"denied,omitempty"`

	// warned are the writes that this policy warned about.
	// Omitted: none.
	// +optional
	Warned *ViolationCount `json:"warned,omitempty"`

	// audited are the writes that this policy only recorded: those that it would deny with validationActions: [Deny].
	// Omitted: none.
	// +optional
	Audited *ViolationCount `json:"audited,omitempty"`
}

// ViolationCount counts writes and shows the latest.
type ViolationCount struct {
	// total is the number of writes since the policy was created.
	// Omitted: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Total int64 `json:"total,omitempty"` //nolint:kubeapilinter // Zero is as good as omitted.

	// lastTime is when the latest of them happened.
	// Omitted: never.
	// +optional
	LastTime *metav1.Time `json:"lastTime,omitempty"`

	// recent are the latest of them, newest first, equal ones merged.
	// Omitted: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Recent []RecentViolation `json:"recent,omitempty"`
}

// RecentViolation is one write, or several equal ones.
type RecentViolation struct {
	// time is when the latest of them happened.
	// +required
	Time metav1.Time `json:"time,omitzero"` //nolint:kubeapilinter // It marshals as a string, and zero is no time.

	// node is the kubelet's node name, as in its credential.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Node string `json:"node,omitempty"`

	// rule is the ID of the first rule of this policy that was violated, such as node-labels.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Rule string `json:"rule,omitempty"`

	// resource is what was written, with its subresource, such as nodes/status.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Resource string `json:"resource,omitempty"`

	// object is the name of what was written, with its namespace if it has one.
	// Omitted: the object had no name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Object string `json:"object,omitempty"`

	// count is how many writes this entry stands for.
	// +required
	// +kubebuilder:validation:Minimum=1
	Count int64 `json:"count,omitempty"`
}
