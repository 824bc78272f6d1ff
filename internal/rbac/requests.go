// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
)

// Requests returns what a rule of the grant allows: one request for each combination of verb, group, resource and name, in the
// namespace of the binding. A "*" of the rule stays a "*" of the request: only a rule with "*" allows such a request. It returns
// at most limit requests, and reports whether these are all.
func (g *Grant) Requests(rule *rbacv1.PolicyRule, limit int) (requests []authorization.Request, all bool) {
	add := func(r authorization.Request) bool {
		if len(requests) == limit {
			return false
		}
		requests = append(requests, r)
		return true
	}
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, verb := range rule.Verbs {
		if g.BindingNamespace == "" {
			for _, url := range rule.NonResourceURLs {
				if !add(authorization.Request{Verb: verb, Path: url}) {
					return requests, false
				}
			}
		}
		for _, group := range rule.APIGroups {
			for _, combined := range rule.Resources {
				r := authorization.Request{Verb: verb, Group: group, Namespace: g.BindingNamespace}
				r.Resource, r.Subresource, _ = strings.Cut(combined, "/")
				for _, r.Name = range names {
					if !add(r) {
						return requests, false
					}
				}
			}
		}
	}
	return requests, true
}
