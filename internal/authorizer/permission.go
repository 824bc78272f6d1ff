// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"slices"
	"strings"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/policy/expression"
)

// Permission is what the entry leaves to the authorizers behind it. It grants nothing itself. It is for resources or for paths.
type Permission struct {
	Why        string   // one line
	Verbs      []string // * for all
	Groups     []string // API groups; nil: any
	Resources  []string // a subresource follows a slash; nil: any
	Names      []string // of objects; nil: any
	Namespaces []string // nil: any, and none
	Paths      []string // of requests that are for no resource; what follows a * at the end may be anything
}

// Covers reports whether the request is one that the permission leaves to other authorizers.
func (p *Permission) Covers(r *authorization.Request) bool {
	if !slices.Contains(p.Verbs, "*") && !slices.Contains(p.Verbs, r.Verb) {
		return false
	}
	if r.Path != "" {
		return slices.ContainsFunc(p.Paths, func(pattern string) bool {
			if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
				return strings.HasPrefix(r.Path, prefix)
			}
			return r.Path == pattern
		})
	}
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	return len(p.Paths) == 0 &&
		(p.Groups == nil || slices.Contains(p.Groups, r.Group)) &&
		(p.Resources == nil || slices.Contains(p.Resources, resource)) &&
		(p.Names == nil || slices.Contains(p.Names, r.Name)) &&
		(p.Namespaces == nil || slices.Contains(p.Namespaces, r.Namespace))
}

// condition returns the match condition that is false for what the permission covers. It does not fail for any request.
func (p *Permission) condition() string {
	if len(p.Paths) > 0 {
		return excludes("request.nonResourceAttributes", p.verbs("request.nonResourceAttributes"), pathIn(p.Paths))
	}
	const attributes = "request.resourceAttributes"
	parts := []string{p.verbs(attributes)}
	if p.Groups != nil {
		parts = append(parts, expression.In(attributes+".group", p.Groups...))
	}
	if p.Resources != nil {
		parts = append(parts, resourceIn(attributes, p.Resources))
	}
	if p.Names != nil {
		parts = append(parts, expression.In(attributes+".name", p.Names...))
	}
	if p.Namespaces != nil {
		parts = append(parts, expression.In(attributes+".namespace", p.Namespaces...))
	}
	return excludes(attributes, parts...)
}

// excludes returns a condition that is false for requests that have these attributes and for which all parts are true.
func excludes(attributes string, parts ...string) string {
	return expression.Not(expression.And(append([]string{"has(" + attributes + ")"}, parts...)...))
}

func (p *Permission) verbs(attributes string) string {
	if slices.Contains(p.Verbs, "*") {
		return expression.True
	}
	return expression.In(attributes+".verb", p.Verbs...)
}

// resourceIn says that the resource is one of these, by their subresources.
func resourceIn(attributes string, resources []string) string {
	bySubresource := map[string][]string{}
	var subresources []string
	for _, resource := range resources {
		name, subresource, _ := strings.Cut(resource, "/")
		if bySubresource[subresource] == nil {
			subresources = append(subresources, subresource)
		}
		bySubresource[subresource] = append(bySubresource[subresource], name)
	}
	var parts []string
	for _, subresource := range subresources {
		parts = append(parts, expression.And(
			expression.In(attributes+".resource", bySubresource[subresource]...),
			expression.In(attributes+".subresource", subresource)))
	}
	return expression.Or(parts...)
}

// pathIn says that the path is one of these.
func pathIn(patterns []string) string {
	const path = "request.nonResourceAttributes.path"
	var exact, parts []string
	for _, pattern := range patterns {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			parts = append(parts, path+".startsWith("+expression.Quote(prefix)+")")
		} else {
			exact = append(exact, pattern)
		}
	}
	return expression.Or(append([]string{expression.In(path, exact...)}, parts...)...)
}

// always returns the permissions that stock kubelets need from authorizers other than Node, or that disclose nothing.
func always() []Permission {
	return []Permission{
		{
			Why:   "discovery and health, which RBAC gives to all authenticated users",
			Verbs: []string{"get"},
			Paths: []string{
				"/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/",
				"/healthz", "/livez", "/readyz",
			},
		},
		{
			Why:       "questions about oneself, which RBAC gives to all authenticated users",
			Verbs:     []string{"create"},
			Groups:    []string{"authentication.k8s.io", "authorization.k8s.io"},
			Resources: []string{"selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"},
		},
		{
			Why:       "whether a controller approves a kubelet's own certificate: rotation",
			Verbs:     []string{"create"},
			Groups:    []string{"certificates.k8s.io"},
			Resources: []string{"certificatesigningrequests/selfnodeclient", "certificatesigningrequests/selfnodeserver"},
		},
		{
			Why: "what the NodeRestriction plugin asks about audiences and signers that no pod of the node names; " +
				"the resource is the audience or the signer",
			Verbs: []string{"request-serviceaccounts-token-audience", "request-serviceaccounts-podcertificate-signer"},
		},
	}
}
