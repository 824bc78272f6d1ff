// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"strings"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

func nodeAuthorizer() Check {
	return Check{
		ID: "node-authorizer", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Does the Node authorizer decide about kubelets, before RBAC?",
		Gain: "reads and writes what RBAC gives to all kubelets, not only what its own pods need",
		How: "It asks whether a kubelet that does not exist may get a Node of its name. Only the Node authorizer grants that without RBAC." +
			" If RBAC" +
			" says so as well, the text with which a Secret is refused shows whether the Node authorizer was asked.",
		Needs: []authorization.Request{access()}, run: runNodeAuthorizer,
	}
}

func runNodeAuthorizer(s *Snapshot, f *Finding) {
	answers, ok := known(s, f, &s.Answers)
	if !ok {
		return
	}
	on := Fix{
		On: OnControlPlane, Command: editManifest("s/(--authorization-mode=).*/\\1Node,RBAC/"),
		Note: "the command is for kubeadm; with --authorization-config, name Node as the first authorizer there",
	}
	var self, secret *Answer
	for i := range answers {
		a := &answers[i]
		switch {
		case a.Request == nonsense() && a.Allowed:
			f.cannot("everything is allowed: see authz-always-allow")
			return
		case a.Request == own(a.Node) && (self == nil || a.Node == ProbeNode):
			self = a
		case a.Request == strangeSecret() && (secret == nil || a.Node == ProbeNode):
			secret = a
		}
	}
	if self == nil {
		f.cannot("it was not asked")
		return
	}
	grant, byRBAC := rbac.ReadReason(self.Reason)
	switch {
	case !self.Allowed && self.Denied:
		f.cannot("an authorizer denies it before the Node authorizer is asked, with %s: see deny-authorizer", text.Quote(self.Reason))
	case !self.Allowed:
		f.bad("kube-apiserver", "--authorization-mode", on, "a kubelet may not get its own Node, so the Node authorizer is off")
	case !byRBAC:
		f.note("it allows a kubelet its own Node")
	case secret != nil && strings.Contains(secret.Reason, "no relationship found between node"):
		f.weak("kube-apiserver", "--authorization-mode", on, "RBAC comes before the Node authorizer: %s answers first", bindingName(&grant))
	default:
		f.bad("kube-apiserver", "--authorization-mode", on, "only RBAC gives a kubelet its own Node, by %s, and nothing is said of the"+
			" Node authorizer",
			bindingName(&grant))
	}
}
