// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

	// node is the node name of the kubelet or the node agent, as in its credential, or ? if that names none.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Node string `json:"node,omitempty"`

	// account is the service account of a node agent, as <namespace>/<name>, or its user name.
	// Omitted: a kubelet wrote.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Account string `json:"account,omitempty"`

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
