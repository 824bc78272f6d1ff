// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

// written is a write in an audit log, with what its event has of it.
type written struct {
	event      *auditlog.Event
	isKubelets bool
	isAgents   bool // of a client that policies may name as a node agent
	subject    policy.Subject
	node       string // that the credential names
	noExtra    bool   // the log does not say which node the credential names
	operation  admissionv1.Operation
	resource   string // with its group
	key        key
	dryRun     bool

	answer  *whole    // the object as it was stored. Nil: not known
	body    *whole    // of a creation or a PUT. Nil: not known
	patch   *patch    // of a PATCH. Nil: not known
	version uint64    // the resourceVersion in the answer. 0: not known
	broken  bool      // a body is not well-formed
	from    time.Time // when it was received
	at      time.Time // when it was answered
	done    bool
}

// key is the name of an object.
type key struct{ resource, namespace, name string }

// isTracked reports whether the object is a Node or a pod.
func (k *key) isTracked() bool { return k.resource == "nodes" || k.resource == "pods" }

// read reads an event.
func read(e *auditlog.Event) *written {
	o := &e.ObjectRef
	w := &written{event: e, resource: resourceOf(e), operation: operationOf(e)}
	id, restricted := review.SubjectOf(userOf(e))
	w.subject, w.node = id.Subject, id.Node
	w.isKubelets, w.isAgents = restricted && id.Subject.IsKubelet(), restricted && !id.Subject.IsKubelet()
	w.noExtra = e.Format == auditlog.GKE && id.Subject.Kind == policy.ServiceAccount
	w.key = key{w.resource, o.Namespace, o.Name}
	w.dryRun, w.from, w.at = e.DryRun(), e.Received, e.Logged
	switch {
	case e.Cut && e.Logged.IsZero():
		w.from, w.at = e.Received.Add(-window), e.Received.Add(window)
	case e.Logged.IsZero():
		w.at = e.Received
	}
	if e.Stage == auditlog.Panic {
		return w
	}
	if w.succeeded() {
		w.answer = w.readWhole(e.ResponseObject, true)
	}
	if w.answer != nil {
		w.version = w.answer.version
		if w.key.name == "" && w.operation == admissionv1.Create {
			w.key.name = w.answer.name
		}
	}
	switch {
	case len(e.RequestObject) == 0:
	case e.Verb == "patch":
		w.patch = readPatch(e)
	case e.Verb == "create", e.Verb == "update":
		w.body = w.readWhole(e.RequestObject, false)
	}
	return w
}

// userOf returns the client of an event, as far as the log has it.
func userOf(e *auditlog.Event) authenticationv1.UserInfo {
	client := e.Client()
	user := authenticationv1.UserInfo{Username: client.Username, Groups: client.Groups}
	for name, values := range client.Extra {
		if user.Extra == nil {
			user.Extra = map[string]authenticationv1.ExtraValue{}
		}
		user.Extra[name] = values
	}
	return user
}

// resourceOf returns the resource of a request with its group.
func resourceOf(e *auditlog.Event) string {
	if e.ObjectRef.APIGroup == "" {
		return e.ObjectRef.Resource
	}
	return e.ObjectRef.Resource + "." + e.ObjectRef.APIGroup
}

// readWhole reads an object. It returns nil without one. An answer may be of another kind than the resource.
func (w *written) readWhole(value jsontext.Value, isAnswer bool) *whole {
	if len(value) == 0 || value.Kind() != '{' {
		return nil
	}
	o, err := splitWhole(value)
	switch {
	case err != nil:
		w.broken = true
		return nil
	case isAnswer && (o.kind == "Status" || o.name == ""):
		return nil
	case isAnswer && o.kind != "" && w.key.isTracked() && o.kind != kindOf(w.resource):
		return nil
	}
	return o
}

func kindOf(resource string) string {
	return map[string]string{"nodes": "Node", "pods": "Pod"}[resource]
}

// operationOf returns the operation of admission.
func operationOf(e *auditlog.Event) admissionv1.Operation {
	switch e.ObjectRef.Subresource {
	case "exec", "attach", "portforward", "proxy":
		return admissionv1.Connect
	}
	switch e.Verb {
	case "create":
		return admissionv1.Create
	case "update", "patch":
		return admissionv1.Update
	}
	return admissionv1.Delete
}

// succeeded reports whether the API server has done what the client asked for.
func (w *written) succeeded() bool {
	code := w.event.ResponseStatus.Code
	return code >= http.StatusOK && code < http.StatusMultipleChoices
}

// isRefused reports whether somebody has refused the write. A PUT that creates has the code 201.
func (w *written) isRefused() bool { return w.event.ResponseStatus.Code >= http.StatusBadRequest }

// stores reports whether the write may have changed what is stored.
func (w *written) stores() bool { return !w.dryRun && !w.isRefused() }

// mutators returns the first mutating webhook that has changed the object, and false if none has.
func (w *written) mutator() (string, bool) {
	first := ""
	for k, value := range w.event.Annotations {
		if strings.HasPrefix(k, "mutation.webhook.admission.k8s.io/") && isMutated(value) {
			name := textMember(jsontext.Value(value), "webhook")
			if first == "" || name < first {
				first = name
			}
			if first == "" {
				first = "?"
			}
		}
	}
	return first, first != ""
}

// isMutated reports whether the annotation of a mutating webhook says, in JSON, that it has changed the object.
func isMutated(value string) bool { return string(member(jsontext.Value(value), "mutated")) == "true" }

// failedOpen reports whether a webhook of this program was not reached.
func (w *written) failedOpen() bool {
	for k, value := range w.event.Annotations {
		if strings.HasPrefix(k, "failed-open.validating.webhook.admission.k8s.io/") && isOurs(value) {
			return true
		}
	}
	return false
}

// isOurs reports whether a webhook is one of the chart's.
func isOurs(webhook string) bool { return strings.HasSuffix(webhook, ".noderestriction.plus") }

// isApply reports whether a PATCH may be a server-side apply, which names a field manager and the kind of its object.
func isApply(e *auditlog.Event) bool {
	if e.Verb != "patch" || member(e.RequestObject, "kind") == nil {
		return false
	}
	_, has := e.Parameter("fieldManager")
	return has || e.Format == auditlog.GKE
}

// member returns a member of a JSON object, or nil.
func member(object jsontext.Value, name string) jsontext.Value {
	members, err := membersOf(object)
	if err != nil {
		return nil
	}
	for _, m := range members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// textMember returns a member of a JSON object that is a text.
func textMember(object jsontext.Value, name string) string { return textOf(member(object, name)) }

// textOf returns a JSON text, and nothing for another value.
func textOf(value jsontext.Value) string {
	if value.Kind() != '"' {
		return ""
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return ""
	}
	return string(text)
}

// number returns a resourceVersion, and 0 for another text.
func number(version string) uint64 {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
