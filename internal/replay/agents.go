// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/policy"
)

// Credential is what the credential of a client says about a node.
type Credential string

// What credentials say about a node.
const (
	// NamesNode: it names exactly one node, as the token of a pod that is bound to it.
	NamesNode Credential = "names a node"
	// NamesSeveral: it names several nodes, or one without a name. No token does; an impersonated user may.
	NamesSeveral Credential = "names several nodes"
	// IsUnbound: it is a token that is bound to no pod and to no Node, or an impersonated account.
	IsUnbound Credential = "unbound token"
	// IsSecret: it is the token of a Secret, which never ends and is bound to nothing.
	IsSecret Credential = "token of a Secret" //nolint:gosec // the name of a kind
	// IsNotLogged: the log does not say which node a token names.
	IsNotLogged Credential = "not logged"
	// IsNoToken: the user is no service account.
	IsNoToken Credential = "no service account" //nolint:gosec // the name of a kind
)

// AgentWrite is a write of a client that is no kubelet. Its texts are as the client sent them: neither bounded nor printable.
type AgentWrite struct {
	Time       time.Time
	User       string
	UserAgent  string
	Credential Credential
	Node       string // that the credential names; empty: none
	policy.Write
	// About is the node that the object is of, if AboutKnown says so. Empty: a pod that is bound to no node.
	About      string
	AboutKnown bool
}

const (
	// nodeNameExtra is the member of a user's extra that names the node of the pod that a token is bound to.
	nodeNameExtra = "authentication.kubernetes.io/node-name"
	// legacyToken is the annotation of an event whose user has sent the token of a Secret.
	legacyToken = "authentication.k8s.io/legacy-token"
)

// credential returns what the credential of a write's client says about a node.
func (w *written) credential() Credential {
	e := w.event
	switch {
	case w.subject.Kind != policy.ServiceAccount:
		return IsNoToken
	case w.noExtra:
		return IsNotLogged
	case w.node != "":
		return NamesNode
	case len(e.Client().Extra[nodeNameExtra]) > 0:
		return NamesSeveral
	case e.ImpersonatedUser == nil && e.Annotations[legacyToken] != "":
		return IsSecret
	}
	return IsUnbound
}

// agent passes a write of a client that is no kubelet to the function that the options have for them.
func (r *Replay) agent(w *written) {
	o := &r.options
	switch {
	case o.Agents == nil, w.isKubelets, !r.covers(w.event), w.isRefused() && !o.Attempts, !o.during(w), o.FailedOpen && !w.failedOpen():
		return
	}
	e := w.event
	a := &AgentWrite{Time: e.Received, User: e.Client().Username, UserAgent: e.UserAgent, Write: w.write()}
	if a.Credential = w.credential(); a.Credential == NamesNode {
		a.Node = w.node
	}
	a.About, a.AboutKnown = r.nodeOf(w)
	if o.Node == nil || o.Node(a.Node) || o.Node(a.About) {
		o.Agents(a)
	}
}

// covers reports whether an event is of a write that the options select. Kubelets' writes are evaluated, or not, by policies alone.
func (r *Replay) covers(e *auditlog.Event) bool {
	return r.options.Covers != nil && r.options.Covers(resourceOf(e), e.ObjectRef.Subresource, operationOf(e))
}

// nodeOf returns the node that the object of a write is of, and false if the log does not say it. It is empty for a pod without a node.
func (r *Replay) nodeOf(w *written) (string, bool) {
	switch {
	case w.event.Verb == "deletecollection":
		return "", false
	case w.resource == "nodes":
		return w.key.name, w.key.name != ""
	case w.resource == "pods":
		return r.nodeOfPod(w)
	}
	paths := r.units.paths[w.resource]
	if len(paths) == 0 {
		paths = r.options.NodePaths[w.resource]
	}
	for _, o := range []*whole{w.answer, w.body} {
		if o != nil && len(paths) > 0 {
			return textAt(o.raw, paths[0]), true
		}
	}
	if s, known := r.skims.known[w.key]; known && len(paths) > 0 {
		return textAt(s.object, paths[0]), true
	}
	return "", false
}

// nodeOfPod returns the node of a pod, which never changes once it is bound.
func (r *Replay) nodeOfPod(w *written) (string, bool) {
	if w.event.ObjectRef.Subresource == "binding" {
		if w.body == nil {
			return "", false
		}
		return textAt(w.body.raw, "target.name"), true
	}
	if w.answer != nil && w.answer.kind != "Status" {
		return textOf(w.answer.value("spec", "nodeName")), true
	}
	if w.operation == admissionv1.Create && w.event.ObjectRef.Subresource == "" {
		if w.body == nil {
			return "", false
		}
		return textOf(w.body.value("spec", "nodeName")), true
	}
	for _, t := range []*tracked{r.objects.latest[w.key], r.objects.seeds[w.key]} {
		if t == nil {
			continue
		}
		for _, m := range r.objects.parts(t) {
			if m.partName == (partName{"spec", "nodeName"}) && m.kept {
				return textOf(m.value), true
			}
		}
	}
	return "", false
}

// textAt returns the text at a path of a JSON object, and nothing for another value.
func textAt(object jsontext.Value, path string) string { return textOf(valueAt(object, path)) }

// valueAt returns the value at a path of a JSON object, or nil.
func valueAt(object jsontext.Value, path string) jsontext.Value {
	for name := range strings.SplitSeq(path, ".") {
		if object.Kind() != '{' {
			return nil
		}
		if object = member(object, name); object == nil {
			return nil
		}
	}
	return object
}

// during reports whether a write is in the time of the replay.
func (o *Options) during(w *written) bool {
	at := w.event.Received
	return (o.Since.IsZero() || !at.Before(o.Since)) && (o.Until.IsZero() || at.Before(o.Until))
}

// isWrite reports whether an event is the last one of a write.
func isWrite(e *auditlog.Event) bool {
	return e.IsLast() && slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, e.Verb)
}
