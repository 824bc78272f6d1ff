// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package auditlog reads the audit log of an API server, as the API server writes it and as log services of cloud providers keep it.
package auditlog

import (
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"noderestriction.plus/internal/authorization"
)

// Stages of a request.
const (
	RequestReceived  = "RequestReceived"
	ResponseStarted  = "ResponseStarted"
	ResponseComplete = "ResponseComplete"
	Panic            = "Panic"
)

// Decisions of authorizers.
const (
	Allow  = "allow"
	Forbid = "forbid"
)

// Event is what is read of an event of audit.k8s.io. Its texts are as clients sent them, and not bounded.
type Event struct {
	Kind             string    `json:"kind"`
	APIVersion       string    `json:"apiVersion"`
	Level            string    `json:"level"`
	AuditID          string    `json:"auditID"` // clients may choose it, so that it may be that of several requests
	Stage            string    `json:"stage"`
	RequestURI       string    `json:"requestURI"`
	Verb             string    `json:"verb"`
	User             User      `json:"user"`
	ImpersonatedUser *User     `json:"impersonatedUser"`
	UserAgent        string    `json:"userAgent"`
	ObjectRef        ObjectRef `json:"objectRef"`
	ResponseStatus   Status    `json:"responseStatus"`
	// RequestObject and ResponseObject are not decoded. They are empty below the levels Request and RequestResponse.
	RequestObject  jsontext.Value    `json:"requestObject"`
	ResponseObject jsontext.Value    `json:"responseObject"`
	Received       time.Time         `json:"requestReceivedTimestamp"`
	Logged         time.Time         `json:"stageTimestamp"` // zero for an event of [GKE]
	Annotations    map[string]string `json:"annotations"`

	// Format is how the event was stored. An event of [GKE] has no groups, no audit level and no query in RequestURI.
	Format Format `json:"-"`
	// Cut says that the event ends too early. What it has is whole; its level is that of the bodies that it has. If it has no times, it was
	// logged after Received, and before the next event of its input.
	Cut bool `json:"-"`
}

// User is who sent a request.
type User struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
	// Extra has what the authenticator says beside, such as the node of the pod that a token is bound to. An event of [GKE] has none.
	Extra map[string][]string `json:"extra"`
}

// ObjectRef is the object of a request. All of it is empty for a request that is for no resource.
type ObjectRef struct {
	Resource    string `json:"resource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	APIGroup    string `json:"apiGroup"`
	Subresource string `json:"subresource"`
	// UID and ResourceVersion are those that the body of an update names: of the stored object. Empty: it names none.
	UID             string `json:"uid"`
	ResourceVersion string `json:"resourceVersion"`
}

// Status is the answer to a request.
type Status struct {
	Code    int32  `json:"code"` // of HTTP; 0: not known
	Message string `json:"message"`
}

// isEvent reports whether what was decoded is an event. Those of a list do not repeat kind and version.
func (e *Event) isEvent() bool {
	return (e.Kind == "" || e.Kind == "Event") && (e.APIVersion == "" || strings.HasPrefix(e.APIVersion, "audit.k8s.io/")) && e.Stage != ""
}

// Client returns the impersonated user, if there is one, or else the user.
func (e *Event) Client() *User {
	if e.ImpersonatedUser != nil {
		return e.ImpersonatedUser
	}
	return &e.User
}

// Decision returns [Allow] or [Forbid], or an empty text if the event does not say what the authorizers decided, as after an error.
func (e *Event) Decision() string { return e.Annotations["authorization.k8s.io/decision"] }

// Reason returns the reason of the decision, which may be empty.
func (e *Event) Reason() string { return e.Annotations["authorization.k8s.io/reason"] }

// IsLast reports whether the event is the last one of its request.
func (e *Event) IsLast() bool { return e.Stage == ResponseComplete || e.Stage == Panic }

// query returns the parameters of the request. Like the API server, it passes over those that are not well-formed.
func (e *Event) query() url.Values {
	_, query, _ := strings.Cut(e.RequestURI, "?")
	values, _ := url.ParseQuery(query) // it returns the others beside its error
	return values
}

// Parameter returns a parameter of the request, and false if the request does not have it. An event of [GKE] has none.
func (e *Event) Parameter(name string) (string, bool) {
	values := e.query()
	return values.Get(name), values.Has(name)
}

// DryRun reports whether nothing was to be stored. A token is issued even then.
func (e *Event) DryRun() bool {
	if e.ObjectRef.Resource == "serviceaccounts" && e.ObjectRef.Subresource == "token" {
		return false
	}
	if e.Format == GKE {
		return e.Annotations[gkeDryRun] != ""
	}
	return e.query().Has("dryRun")
}

// Request returns what the authorizers were asked.
func (e *Event) Request() authorization.Request {
	o := &e.ObjectRef
	if o.Resource == "" {
		path, _, _ := strings.Cut(e.RequestURI, "?")
		return authorization.Request{Verb: e.Verb, Path: path}
	}
	r := authorization.Request{
		Verb: e.Verb, Group: o.APIGroup, Resource: o.Resource, Subresource: o.Subresource, Namespace: o.Namespace, Name: o.Name,
	}
	const nodeName = "spec.nodeName" // the only field that authorizers of Kubernetes read, beside the name
	for requirement := range strings.SplitSeq(e.query().Get("fieldSelector"), ",") {
		field, value, found := strings.Cut(requirement, "=")
		value = strings.TrimPrefix(value, "=")
		switch {
		case !found:
		case field == "metadata.name" && r.Name == "":
			r.Name = value
		case field == nodeName && r.Selector.Field == "":
			r.Selector = authorization.Selector{Field: field, Value: value}
		}
	}
	return r
}
