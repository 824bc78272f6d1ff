// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authorization has what an authorizer of the API server is asked: who wants to do what. It neither asks nor decides.
package authorization

import (
	"cmp"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// NodeUserPrefix is how the user name of a kubelet begins; the name of its node follows.
	NodeUserPrefix = "system:node:"
	// NodesGroup is the group of all kubelets.
	NodesGroup = "system:nodes"
	// AuthenticatedGroup is the group of all authenticated users.
	AuthenticatedGroup = "system:authenticated"
)

// Identity is a user and its groups.
type Identity struct {
	User   string
	Groups []string
}

// Kubelet returns the identity of the kubelet of a node, as its client certificate and the API server give it.
func Kubelet(node string) Identity {
	return Identity{User: NodeUserPrefix + node, Groups: []string{NodesGroup, AuthenticatedGroup}}
}

// Request is what somebody wants to do. With a Path it is not about a resource, and only Verb counts beside. Requests can be
// compared.
type Request struct {
	Verb, Group, Resource, Subresource string
	Namespace, Name                    string // empty: all namespaces, or a cluster-scoped object; no single object
	Selector                           Selector
	Path                               string
}

// Compare orders requests by what they are about, and then by verb.
func Compare(a, b Request) int {
	return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Resource, b.Resource), strings.Compare(a.Subresource, b.Subresource),
		strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Path, b.Path),
		strings.Compare(a.Selector.Field, b.Selector.Field), strings.Compare(a.Selector.Value, b.Selector.Value), strings.Compare(a.Verb, b.Verb))
}

// Selector is a field selector with one requirement: the field has the value. The zero Selector selects everything.
type Selector struct{ Field, Value string }

// GroupResource returns the resource as RBAC messages name it, with its group and subresource, such as pods/status or
// leases.coordination.k8s.io.
func (r *Request) GroupResource() string {
	if r.Path != "" {
		return r.Path
	}
	name := r.Resource
	if r.Group != "" {
		name += "." + r.Group
	}
	if r.Subresource != "" {
		name += "/" + r.Subresource
	}
	return name
}

// String returns the request in one line, such as "list secrets in namespace kube-system". What it has of others is not escaped.
func (r *Request) String() string {
	var b strings.Builder
	b.WriteString(r.Verb + " " + r.GroupResource())
	switch {
	case r.Path != "":
	case r.Name != "" && r.Namespace != "":
		b.WriteString(" " + r.Namespace + "/" + r.Name)
	case r.Name != "":
		b.WriteString(" " + r.Name)
	case r.Namespace != "":
		b.WriteString(" in namespace " + r.Namespace)
	}
	if r.Selector.Field != "" {
		b.WriteString(" with " + r.Selector.Field + "=" + r.Selector.Value)
	}
	return b.String()
}

// ResourceAttributes returns the request as an access review has it, or nil if it has a Path.
func (r *Request) ResourceAttributes() *authorizationv1.ResourceAttributes {
	if r.Path != "" {
		return nil
	}
	attributes := &authorizationv1.ResourceAttributes{
		Verb: r.Verb, Group: r.Group, Version: "*", Resource: r.Resource, Subresource: r.Subresource, Namespace: r.Namespace, Name: r.Name,
	}
	if r.Selector.Field != "" {
		attributes.FieldSelector = &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{
			{Key: r.Selector.Field, Operator: metav1.FieldSelectorOpIn, Values: []string{r.Selector.Value}},
		}}
	}
	return attributes
}

// NonResourceAttributes returns the request as an access review has it, or nil if it has no Path.
func (r *Request) NonResourceAttributes() *authorizationv1.NonResourceAttributes {
	if r.Path == "" {
		return nil
	}
	return &authorizationv1.NonResourceAttributes{Verb: r.Verb, Path: r.Path}
}
