// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/authorization"
)

// Unknown is why a fact is not known.
type Unknown struct {
	// Permissions are what the user may not do; none if something else is the reason.
	Permissions []authorization.Request `json:"permissions,omitempty"`
	// Why is a text in words, without a period. Texts of others in it are bounded and printable.
	Why string `json:"why,omitempty"`
}

// Fact is what was read, or why it could not be.
type Fact[T any] struct {
	Value   T        `json:"value,omitempty"`
	Unknown *Unknown `json:"unknown,omitempty"`
}

// Answer is what the API server says of a request of a kubelet, which need not exist.
type Answer struct {
	Node    string                `json:"node"`
	Request authorization.Request `json:"request"`
	Allowed bool                  `json:"allowed,omitempty"`
	Denied  bool                  `json:"denied,omitempty"` // an authorizer denied it, and no other was asked
	Reason  string                `json:"reason,omitempty"` // with the error of the evaluation; from anyone who runs the authorizer
}

// NodeProbe is the answer to the dry run with which a kubelet that does not exist creates a Node of another name.
type NodeProbe struct {
	Code    int    `json:"code"`
	Message string `json:"message,omitempty"`
}

// Token is a bootstrap token without its secret.
type Token struct {
	Name       string     `json:"name"` // of the Secret
	Created    time.Time  `json:"created"`
	ContentSet bool       `json:"contentSet,omitempty"` // the following were read
	Signs      bool       `json:"signs,omitempty"`      // it authenticates
	Expires    *time.Time `json:"expires,omitempty"`
}

// LiveKubelet is what one kubelet says of itself, and to strangers.
type LiveKubelet struct {
	Node string `json:"node"`
	// Config is its configuration, as /configz has it.
	Config Fact[*KubeletConfig] `json:"config"`
	// Stranger and ReadOnly are the HTTP status codes of /pods without a credential, at the ports 10250 and 10255; 0: no answer.
	Stranger int `json:"stranger,omitempty"`
	ReadOnly int `json:"readOnly,omitempty"`
}

// KubeletConfig is the part of the configuration of a kubelet that weakens or strengthens its API.
type KubeletConfig struct {
	Authentication struct {
		Anonymous struct {
			Enabled *bool `json:"enabled,omitempty"`
		} `json:"anonymous,omitempty"`
	} `json:"authentication,omitempty"`
	Authorization struct {
		Mode string `json:"mode,omitempty"`
	} `json:"authorization,omitempty"`
	ReadOnlyPort       int  `json:"readOnlyPort,omitempty"`
	RotateCertificates bool `json:"rotateCertificates,omitempty"`
	ServerTLSBootstrap bool `json:"serverTLSBootstrap,omitempty"`
}

// Pod is what checks read of a pod that runs on a node.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Node      string `json:"node,omitempty"`
	Account   string `json:"account,omitempty"` // the name of its service account
	// Token says that it has a token of the service account for the API server.
	Token bool `json:"token,omitempty"`
	// Owner and OwnerName are the kind and the name of its controller; empty if it has none.
	Owner     string `json:"owner,omitempty"`
	OwnerName string `json:"ownerName,omitempty"`
}

// Account names a service account.
type Account struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Metrics are the metrics of an API server that checks read.
type Metrics struct {
	// AuditEvents is how many events were logged; nil if the API server has no such metric.
	AuditEvents *float64 `json:"auditEvents,omitempty"`
}

// Snapshot is what checks read of a cluster. Its lists are bounded by the reader. Every text may be chosen by an attacker.
type Snapshot struct {
	Now  time.Time              `json:"now"`
	User authorization.Identity `json:"user"` // who has read it
	// Node is the node about whose kubelet the API server was asked; empty if there is no such object.
	Node string `json:"node,omitempty"`

	// Versions are the distinct versions of API servers that answered.
	Versions Fact[[]string] `json:"versions"`

	ClusterRoles        Fact[[]rbacv1.ClusterRole]        `json:"clusterRoles"`
	ClusterRoleBindings Fact[[]rbacv1.ClusterRoleBinding] `json:"clusterRoleBindings"`
	Roles               Fact[[]rbacv1.Role]               `json:"roles"`
	RoleBindings        Fact[[]rbacv1.RoleBinding]        `json:"roleBindings"`

	Nodes      Fact[[]corev1.Node]                                              `json:"nodes"`
	CSRs       Fact[[]certificatesv1.CertificateSigningRequest]                 `json:"csrs"`
	DaemonSets Fact[[]appsv1.DaemonSet]                                         `json:"daemonSets"`
	Pods       Fact[[]Pod]                                                      `json:"pods"`
	Accounts   Fact[[]Account]                                                  `json:"accounts"`
	Validating Fact[[]admissionregistrationv1.ValidatingWebhookConfiguration]   `json:"validating"`
	Mutating   Fact[[]admissionregistrationv1.MutatingWebhookConfiguration]     `json:"mutating"`
	Floor      Fact[[]admissionregistrationv1.ValidatingAdmissionPolicy]        `json:"floor"`
	Bindings   Fact[[]admissionregistrationv1.ValidatingAdmissionPolicyBinding] `json:"bindings"`
	// Policies is empty if the CRD is not installed.
	Policies Fact[[]v1alpha1.NodeRestrictionPolicy] `json:"policies"`
	// Endpoints are those of the Service that the webhooks name, and Workloads the Deployments and DaemonSets in its namespace.
	Endpoints   Fact[[]discoveryv1.EndpointSlice] `json:"endpoints"`
	Deployments Fact[[]appsv1.Deployment]         `json:"deployments"`
	// Kyverno is the list excludeGroups of Kyverno's configuration.
	Kyverno Fact[string] `json:"kyverno"`

	// KubeletConfig is kubeadm's configuration of kubelets, as text; empty if there is no such object.
	KubeletConfig Fact[string]        `json:"kubeletConfig"`
	Kubelets      Fact[[]LiveKubelet] `json:"kubelets"`
	Tokens        Fact[[]Token]       `json:"tokens"`
	Answers       Fact[[]Answer]      `json:"answers"`
	NodeProbe     Fact[NodeProbe]     `json:"nodeProbe"`
	// Anonymous is the HTTP status code of GET /api without a credential.
	Anonymous Fact[int]     `json:"anonymous"`
	Metrics   Fact[Metrics] `json:"metrics"`
}
