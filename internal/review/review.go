// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

const (
	reviewKind    = "AdmissionReview"
	reviewVersion = "admission.k8s.io/v1"

	// MaxBytes is the maximum size of a review, in bytes. An API server sends an object of up to 3 MiB and a stored one of up to
	// 1.5 MiB, and JSON may write each byte of them as six: 27 MiB.
	MaxBytes = 32 << 20

	// maxUID is the maximum length of a uid that is answered, in bytes; those of an API server have 36.
	maxUID = 256
	// maxMembers is the maximum number of members of one object in a review. The names of an object are held while it is read, to
	// find duplicates. An object that the API server stores has fewer: it has at most 1.5 MiB, and a member at least seven bytes.
	maxMembers = 256 << 10
	// maxHead is how much of a review with more members or bytes is read: what precedes the object is far shorter.
	maxHead = 128 << 10

	tooManyMembers = "the request has too many values"
	// maxGroups is the maximum number of a user's groups, and of the values of extra. A kubelet has two groups.
	maxGroups     = 1000
	tooManyGroups = "the user has too many groups or extra values"

	// maxText bounds an error that quotes what was sent, in bytes.
	maxText = 256
)

// Review is one decoded AdmissionReview.
type Review struct {
	// UID pairs the review with its answer. It is not empty.
	UID types.UID
	// User is the user who wrote.
	User authenticationv1.UserInfo
	// Kubelet says that User is a kubelet; its node name, possibly empty, is Request.NodeName.
	Kubelet bool
	// Agent says that User is a node agent if a policy names it. Otherwise nothing restricts it.
	Agent bool
	// Request is the write. Its Object, OldObject and Options alias the body and are not decoded. Its Resource is qualified by
	// the group, as in "leases.coordination.k8s.io", unless that is the core group.
	Request policy.Request

	// unreadable is why Request is undecodable, for the log.
	unreadable error
	guard      guard
}

// Decode decodes one AdmissionReview of version admission.k8s.io/v1 in JSON and nothing after it. Duplicate names,
// invalid UTF-8, an unknown operation and a missing uid, user, resource or request are errors; unknown fields are
// ignored, because a newer API server may send them. Errors name the field and have at most 256 bytes.
//
// If only an object is malformed there is no error: the review is undecodable. What follows that object in the body,
// such as dryRun, is then unknown.
func Decode(body []byte) (*Review, error) { return new(Decoder).Decode(body) }

// Decoder decodes AdmissionReviews and reuses its buffers. Its zero value is ready for use. It is safe for concurrent use.
type Decoder struct {
	pool sync.Pool // of *decoders
}

// decoders are those of one review.
type decoders struct{ envelope, values jsontext.Decoder }

// Decode is the function [Decode]. The review aliases the body, not the Decoder.
func (d *Decoder) Decode(body []byte) (*Review, error) { return d.DecodeUntil(body, time.Time{}) }

// DecodeUntil is Decode for a review that must be evaluated by a time: a review that has not been read by then is
// undecodable, and [Review.Evaluate] ends then. The zero time means no bound.
func (d *Decoder) DecodeUntil(body []byte, last time.Time) (*Review, error) {
	if bytes.Count(body, []byte(",")) > maxMembers && widest(body) > maxMembers {
		return DecodeHead(body, tooManyMembers)
	}
	both, ok := d.pool.Get().(*decoders)
	if !ok {
		both = new(decoders)
	}
	// A decoder reads from a bytes.Buffer without copying it.
	both.envelope.Reset(bytes.NewBuffer(body))
	defer func() {
		both.envelope.Reset(bytes.NewBuffer(nil)) // it must not keep the body
		both.values.Reset(bytes.NewBuffer(nil))
		d.pool.Put(both)
	}()
	e := &envelope{body: body, decoder: &both.envelope, values: &both.values, last: last}
	err := e.read()
	if errors.Is(err, errLateRead) {
		return e.review(policy.OutOfTime, err)
	}
	if object, ok := errors.AsType[*objectError](err); ok {
		return e.review(policy.Undecodable, bounded(object))
	}
	if err != nil {
		return nil, bounded(err)
	}
	return e.review("", nil)
}

// widest returns how many members the object with the most members has, if the body is JSON.
func widest(body []byte) int {
	var outer []int // members of the objects around the innermost
	most, members := 0, 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			for i++; i < len(body) && body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if len(outer) > maxDepth {
				return most // the decoder stops here
			}
			outer, members = append(outer, members), 0
		case '}', ']':
			if len(outer) > 0 {
				members, outer = outer[len(outer)-1], outer[:len(outer)-1]
			}
		case ':':
			members++
			most = max(most, members)
		}
	}
	return most
}

// maxDepth is the decoder's maximum depth of nested values.
const maxDepth = 10_000

// DecodeHead decodes the beginning of an AdmissionReview, up to its object: an API server sends everything that identifies
// the write before the object. The review is undecodable for the given reason, which the client reads. What follows the
// object, such as dryRun, is unknown.
func DecodeHead(body []byte, reason string) (*Review, error) {
	prefix := body[:min(len(body), maxHead)]
	e := &envelope{body: prefix, decoder: jsontext.NewDecoder(bytes.NewBuffer(prefix)), headOnly: true}
	if err := e.read(); err != nil && !errors.Is(err, errHeadRead) {
		return nil, bounded(err)
	}
	return e.review(reason, errors.New(reason))
}

// review checks the envelope and returns the review. It is undecodable if a reason is given.
func (e *envelope) review(undecodable string, cause error) (*Review, error) {
	if err := e.check(); err != nil {
		return nil, bounded(err)
	}
	id, restricted := SubjectOf(e.user)
	kubelet := restricted && id.Subject.IsKubelet()
	r := &Review{
		UID: e.uid, User: e.user, Kubelet: kubelet, Agent: restricted && !kubelet,
		unreadable: cause,
		guard:      guard{last: e.last},
		Request: policy.Request{
			Subject: id.Subject, NodeName: id.Node, InNodesGroup: id.InNodesGroup, User: e.user,
			Write: policy.Write{
				Operation: e.operation,
				Resource:  e.resource.Resource, Version: e.resource.Version, Subresource: e.subresource,
				Namespace: e.namespace, Name: e.name,
				DryRun: e.dryRun && !e.issuesToken(),
				Object: e.object, OldObject: e.oldObject, Options: e.options,
				Parts: e.parts, OldParts: e.oldParts,
			},
			Undecodable: undecodable,
		},
	}
	if e.excess && undecodable == "" {
		r.Request.Undecodable, r.unreadable = tooManyGroups, errors.New(tooManyGroups)
	}
	switch {
	case e.resource.Group != "":
		r.Request.Resource += "." + e.resource.Group
	case e.resource.Version != "v1" && r.Request.Undecodable == "":
		// Rules know the fields of v1 only, and a webhook that asks for v1 is sent nothing else.
		r.unreadable = fmt.Errorf("request.resource.version: %q is not known", e.resource.Version)
		r.Request.Undecodable = "the version of the object is not known"
	}
	return r, nil
}

// issuesToken reports whether the write requests a service account token. Such a write is never a dry run: the API server
// issues a valid token even for a dry-run request.
func (e *envelope) issuesToken() bool {
	return e.resource.Group == "" && e.resource.Resource == "serviceaccounts" && e.subresource == "token"
}

func (e *envelope) check() error {
	switch {
	case e.reviewKind != reviewKind:
		return fmt.Errorf("kind: must be %s, not %q", reviewKind, e.reviewKind)
	case e.reviewVersion != reviewVersion:
		return fmt.Errorf("apiVersion: must be %s, not %q", reviewVersion, e.reviewVersion)
	case !e.hasRequest:
		return errors.New("request: must be set")
	case e.uid == "":
		return errors.New("request.uid: must be set")
	case len(e.uid) > maxUID:
		return fmt.Errorf("request.uid: must have at most %d bytes", maxUID)
	case e.user.Username == "":
		return errors.New("request.userInfo.username: must be set")
	case e.resource.Resource == "":
		return errors.New("request.resource.resource: must be set")
	case e.resource.Version == "":
		return errors.New("request.resource.version: must be set")
	}
	switch e.operation {
	case admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect:
		return nil
	}
	return fmt.Errorf("request.operation: must be CREATE, UPDATE, DELETE or CONNECT, not %q", e.operation)
}

// bounded bounds the text of an error, which may quote the sender, and makes it printable.
func bounded(err error) error {
	return &invalidError{text: text.Bound(err.Error(), maxText), cause: err}
}
