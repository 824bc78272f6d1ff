// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
)

func halfIdentities() Check {
	return Check{
		ID: "half-identities", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Is every kubelet the user of its own node, in the group system:nodes?",
		Gain: "is a kubelet that neither the Node authorizer nor the NodeRestriction plugin restricts",
		How: "It reads who requested certificates: a user in system:nodes whose name does not begin with system:node:, or a user with such" +
			" a name" +
			" outside of the group. It reads bindings of users whose names begin with system:node:, and of users who have the permissions of" +
			" a kubelet.",
		Needs: rbacNeeds(authorization.Request{Verb: "list", Group: certificatesGroup, Resource: "certificatesigningrequests"}),
		run:   runHalfIdentities,
	}
}

func runHalfIdentities(s *Snapshot, f *Finding) {
	if requests, ok := known(s, f, &s.CSRs); ok {
		seen := map[string]bool{}
		for i := range requests {
			r := &requests[i]
			if r.Spec.SignerName != clientKubelet && r.Spec.SignerName != kubeletServing || seen[r.Spec.Username] {
				continue
			}
			user := strings.HasPrefix(r.Spec.Username, authorization.NodeUserPrefix) && r.Spec.Username != authorization.NodeUserPrefix
			group := slices.Contains(r.Spec.Groups, authorization.NodesGroup)
			fix := deletion("certificatesigningrequest", "", r.Name)
			fix.Note = "give the kubelet a certificate with the user system:node:<name of its node> and the group system:nodes"
			object := "CertificateSigningRequest " + text.Quote(r.Name)
			switch {
			case user && !group:
				seen[r.Spec.Username] = true
				f.bad(object, "spec.groups", fix, "user %s is not in the group system:nodes, so the plugin and the Node authorizer do not know it",
					text.Quote(r.Spec.Username))
			case group && !user && !isBootstrap(r.Spec.Username, r.Spec.Groups):
				seen[r.Spec.Username] = true
				f.bad(object, "spec.username", fix, "user %s is in the group system:nodes, and no kubelet of a node", text.Quote(r.Spec.Username))
			}
		}
	}
	e, ok := s.evaluator(f)
	if !ok {
		return
	}
	status := allows(authorization.Request{Verb: "patch", Resource: "nodes", Subresource: "status"})
	for _, h := range e.Holdings(func(string, *rbacv1.PolicyRule) bool { return true }) {
		for i := range h.Subjects {
			subject := &h.Subjects[i]
			if subject.Kind != rbacv1.UserKind {
				continue
			}
			writes := slices.ContainsFunc(h.Rules(), func(rule rbacv1.PolicyRule) bool { return status(h.BindingNamespace, &rule) })
			fix := unbind(&h, []int{i})
			switch {
			case strings.HasPrefix(subject.Name, authorization.NodeUserPrefix):
				fix.Note = "what one node needs and others do not belongs to a service account"
				f.weak(bindingName(&h.Grant), subjectsField([]int{i}), fix, "gives a single kubelet, %s, %s %s", text.Quote(subject.Name), h.RoleKind,
					text.Quote(h.Role))
			case writes && (subject.Name == "kubelet" || subject.Name == "system:node"):
				fix.Note = "kubelets with a shared user need certificates of their own first"
				f.bad(bindingName(&h.Grant), subjectsField([]int{i}), fix, "user %s may write the status of every Node: kubelets that share a"+
					" user are not told apart",
					text.Quote(subject.Name))
			}
		}
	}
}

// isBootstrap reports whether a user asks for its first certificate.
func isBootstrap(user string, groups []string) bool {
	return strings.HasPrefix(user, "system:bootstrap:") ||
		slices.ContainsFunc(groups, func(group string) bool { return strings.HasPrefix(group, bootstrappersGroup) })
}
