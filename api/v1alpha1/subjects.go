// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Subjects says which node agents a policy restricts, and holds to their node.
//
// +kubebuilder:validation:XValidation:rule="has(self.serviceAccounts) || has(self.usernamePrefixes)",message="must have serviceAccounts or usernamePrefixes"
type Subjects struct {
	// serviceAccounts are the service accounts of node agents. The node is that of the pod, or of the Node, to which the token is bound: the
	// one value of authentication.kubernetes.io/node-name in the extra of the user.
	// Omitted: none.
	// +optional
	// +listType=map
	// +listMapKey=namespace
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	ServiceAccounts []ServiceAccount `json:"serviceAccounts,omitempty"`

	// usernamePrefixes are what the user names of node agents with certificates begin with, such as system:ovn-node:. What follows the
	// last colon of the user name is the name of the node.
	// Omitted: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	UsernamePrefixes []UsernamePrefix `json:"usernamePrefixes,omitempty"`

	// withoutNode says whether a node agent may write whose credential names no node, such as a token that is bound to no pod. Deny makes
	// each of its writes that a section of this policy is about a violation. With Allow, what the sections self and objects say does not
	// apply to such writes, and they are recorded.
	// Omitted: Deny.
	// +optional
	WithoutNode Access `json:"withoutNode,omitempty"`
}

// ServiceAccount names a service account.
type ServiceAccount struct {
	// namespace is the namespace of the service account.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// name is the name of the service account.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`
}

// UsernamePrefix is what user names begin with. It ends in a colon, and covers no kubelet and no service account.
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[!-~]+:$`
// +kubebuilder:validation:XValidation:rule="!self.startsWith('system:node:') && !self.startsWith('system:serviceaccount:') && self != 'system:'",message="must not cover kubelets or service accounts"
type UsernamePrefix string

// ObjectsOfNode are the objects of a kind that has a field with the name of a node.
//
// +kubebuilder:validation:XValidation:rule="has(self.apiGroup) || !(self.resource in ['nodes', 'pods'])",message="nodes and pods have sections of their own"
type ObjectsOfNode struct {
	// apiGroup is the API group of the resource, such as resource.k8s.io.
	// Omitted: the core group.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	APIGroup string `json:"apiGroup,omitempty"`

	// resource is the resource in the plural, such as resourceslices. Its status counts as well.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Resource string `json:"resource,omitempty"`

	// node is the path of the field with the name of the node, such as spec.nodeName or metadata.name. A node agent creates, updates and
	// deletes only objects in which this field is the name of its node.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z][a-zA-Z0-9_]*){0,7}$`
	Node string `json:"node,omitempty"`
}

// PodSpec forbids changes of the spec of a pod. It has no fields.
type PodSpec struct{}
