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

func authzAlwaysAllow() Check {
	return Check{
		ID: "authz-always-allow", Severity: nodeauthorizer.Critical, Worst: Bad,
		Asks: "Does an authorizer refuse what nobody has granted?",
		Gain: "does anything to any object, with any credential",
		How: "It asks about a verb that does not exist on a resource that does not exist, as a kubelet. An authorizer that allows this, such as" +
			" AlwaysAllow, allows everything.",
		Needs: []authorization.Request{access()}, run: runAuthzAlwaysAllow,
	}
}

func runAuthzAlwaysAllow(s *Snapshot, f *Finding) {
	answers, ok := known(s, f, &s.Answers)
	if !ok {
		return
	}
	asked := false
	for i := range answers {
		a := &answers[i]
		if a.Request != nonsense() {
			continue
		}
		asked = true
		if !a.Allowed {
			continue
		}
		if g, ok := rbac.ReadReason(a.Reason); ok {
			f.bad(bindingName(&g), "subjects", deletionOf(&g), "it allows every kubelet every verb on every resource")
			return
		}
		f.bad("kube-apiserver", "--authorization-mode", Fix{
			On: OnControlPlane, Command: editManifest("s/(--authorization-mode=).*/\\1Node,RBAC/"),
			Note: "the command is for kubeadm; MicroK8s: microk8s enable rbac. Before that, bind roles to anyone who relies on it",
		}, "an authorizer allows what cannot be granted, with the reason %s: AlwaysAllow, an ABAC policy with asterisks, or a webhook",
			text.Quote(a.Reason))
		return
	}
	if !asked {
		f.cannot("it was not asked")
	}
}

// deletionOf returns the fix that removes what a reason names.
func deletionOf(g *rbac.Grant) Fix {
	fix := deletion(strings.ToLower(g.BindingKind), g.BindingNamespace, g.Binding)
	fix.Note = "look at its other subjects first"
	return fix
}
