// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"time"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
)

func bootstrapTokens() Check {
	return Check{
		ID: "bootstrap-tokens", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Do bootstrap tokens expire within a day?",
		Gain: "gets the certificate of any node with a token from an old script",
		How: "It lists the Secrets of bootstrap tokens in kube-system by their type, without their data: a token that is older than a day" +
			" is weak." +
			" With --secrets it reads when they expire, and whether they authenticate; their secrets are dropped as they are read.",
		Needs: []authorization.Request{{Verb: "list", Resource: "secrets", Namespace: "kube-system"}}, run: runBootstrapTokens,
	}
}

// tokenLife is how long a bootstrap token of kubeadm lives by default.
const tokenLife = 24 * time.Hour

func runBootstrapTokens(s *Snapshot, f *Finding) {
	tokens, ok := known(s, f, &s.Tokens)
	if !ok {
		return
	}
	const many = 5
	live := 0
	for i := range tokens {
		t := &tokens[i]
		object := "Secret " + text.Quote("kube-system/"+t.Name)
		fix := deletion("secret", "kube-system", t.Name)
		fix.Note = "kubeadm token create makes a new one when a node joins"
		age := s.Now.Sub(t.Created)
		switch {
		case !t.ContentSet && age > tokenLife:
			f.weak(object, "metadata.creationTimestamp", fix, "it is %d days old, so it does not expire within a day", int(age.Hours()/24))
		case !t.ContentSet:
			live++
		case !t.Signs, t.Expires != nil && t.Expires.Before(s.Now):
		case t.Expires == nil:
			f.bad(object, "data.expiration", fix, "it never expires")
		case t.Expires.Sub(s.Now) > tokenLife:
			f.weak(object, "data.expiration", fix, "it expires in %d days", int(t.Expires.Sub(s.Now).Hours()/24))
		default:
			live++
		}
	}
	if live > many {
		f.weak("Secrets in kube-system", "type", Fix{
			Command: "kubeadm token list", On: OnControlPlane, Note: "delete those that no node waits for",
		}, "there are %d bootstrap tokens", live)
	}
	f.note("there are %d bootstrap tokens", len(tokens))
}
