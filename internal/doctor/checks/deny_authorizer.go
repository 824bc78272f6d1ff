// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"strings"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
)

func denyAuthorizer() Check {
	return Check{
		ID: "deny-authorizer", Severity: nodeauthorizer.Medium, Worst: Bad,
		Asks: "If an authorizer denies what the Node authorizer does not allow, is it between Node and RBAC?",
		Gain: "uses what somebody grants to kubelets by RBAC, now or later",
		How: "It asks about what nothing grants, which such an authorizer denies rather than having no opinion; about what each kubelet" +
			" needs; and about what is widened. Without such an authorizer it is ok as long as nothing is widened.",
		Needs: []authorization.Request{access()}, run: runDenyAuthorizer,
	}
}

func runDenyAuthorizer(s *Snapshot, f *Finding) {
	answers, ok := known(s, f, &s.Answers)
	if !ok {
		return
	}
	const object, field = "AuthorizationConfiguration", "authorizers"
	var denies, widened, broken *Answer
	for i := range answers {
		a := &answers[i]
		danger, _ := nodeauthorizer.Risk(&a.Request)
		switch {
		case a.Request == nonsense() && a.Denied:
			denies = a
		case isNeeded(a) && a.Denied:
			broken = a
		case a.Allowed && !isNeeded(a) && danger >= nodeauthorizer.Medium && widened == nil:
			widened = a
		}
	}
	move := Fix{
		On: OnControlPlane, Note: "put it right after Node and before every other authorizer; kubectl nrp authorizer prints such a file",
	}
	switch {
	case broken != nil:
		f.bad(object, field, move, "an authorizer denies what a kubelet needs, %s, with %s", text.Quote(broken.Request.String()),
			text.Quote(broken.Reason))
	case denies != nil && widened != nil:
		move.Note += "; if it is excepted on purpose, this remains weak"
		f.weak(object, field, move, "%s is in force, and yet a kubelet may %s: another authorizer comes first, or it is an exception",
			denier(denies), text.Quote(withoutName(widened.Request)))
	case denies != nil:
		f.note("%s is in force", denier(denies))
	case widened != nil:
		f.weak("kube-apiserver", "--authorization-config", Fix{
			On: OnControlPlane, Note: "remove what node-widened shows; kubectl nrp authorizer prints a configuration that denies it for good",
		}, "no authorizer denies what others grant to kubelets, such as %s", text.Quote(withoutName(widened.Request)))
	default:
		f.note("there is no such authorizer, and nothing is widened")
	}
}

// denier names the authorizer that denies.
func denier(a *Answer) string {
	if strings.Contains(a.Reason, program.Name) || strings.Contains(a.Reason, "kubelets may do only what the Node authorizer allows") {
		return "the authorizer of " + program.Name
	}
	return "an authorizer that denies, with " + text.Quote(a.Reason) + ","
}
