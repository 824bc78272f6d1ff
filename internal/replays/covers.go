// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// covers returns what --subjects is about: the writes that rules of the policies evaluate. Without policies, what rules about node agents
// can evaluate.
func covers(policies []*policy.Policy) func(resource, subresource string, operation admissionv1.Operation) bool {
	return func(resource, subresource string, operation admissionv1.Operation) bool {
		if len(policies) == 0 {
			switch resource + "/" + subresource {
			case "nodes/", "nodes/status", "pods/", "pods/status", "pods/ephemeralcontainers", "pods/resize", "pods/eviction",
				"resourceslices.resource.k8s.io/":
				return true
			}
			return false
		}
		for _, p := range policies {
			if len(p.RulesOn(resource, subresource, operation)) > 0 {
				return true
			}
		}
		return false
	}
}

// nodePaths returns where objects name their node for which no policy says it.
func nodePaths() map[string][]string {
	return map[string][]string{"resourceslices.resource.k8s.io": {"spec.nodeName"}}
}

// named returns which policies name a user as a subject.
func named(policies []*v1alpha1.NodeRestrictionPolicy) func(user string) []string {
	return func(user string) []string {
		var names []string
		for _, p := range policies {
			if p.Spec.Subjects != nil && isSubject(p.Spec.Subjects, user) {
				names = append(names, value(p.Name))
			}
		}
		return names
	}
}

// isSubject reports whether subjects name a user.
func isSubject(s *v1alpha1.Subjects, user string) bool {
	return slices.ContainsFunc(s.ServiceAccounts, func(a v1alpha1.ServiceAccount) bool {
		return user == accountPrefix+a.Namespace+separator+a.Name
	}) || slices.ContainsFunc(s.UsernamePrefixes, func(p v1alpha1.UsernamePrefix) bool { return strings.HasPrefix(user, string(p)) })
}
