// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/policy/object"
)

// envelope is an AdmissionReview while it is read, in one pass over the body.
type envelope struct {
	body     []byte
	decoder  *jsontext.Decoder
	values   *jsontext.Decoder // for parts of objects
	headOnly bool
	last     time.Time // when reading must end; zero: never
	steps    uint      // members and elements that were read
	extras   int       // names and values of the user's extra
	excess   bool      // the user has more groups or extra values than maxGroups

	reviewKind, reviewVersion string
	hasRequest                bool

	uid                          types.UID
	resource                     metav1.GroupVersionResource
	subresource, namespace, name string
	operation                    admissionv1.Operation
	user                         authenticationv1.UserInfo
	dryRun                       bool
	object, oldObject, options   []byte
	objectEnd                    int // the offset behind object in the body
	parts, oldParts              object.Parts
}

// errLateRead ends the reading of an envelope that took too long.
var errLateRead = errors.New("the review could not be read in time")

// errHeadRead ends the reading of a head.
var errHeadRead = errors.New("the head has been read")

// objectError says that an object in the envelope is malformed, while everything before it is well-formed.
type objectError struct{ cause error }

func (e *objectError) Error() string { return e.cause.Error() }
func (e *objectError) Unwrap() error { return e.cause }

// invalidError is an error about an envelope, bounded and printable.
type invalidError struct {
	text  string
	cause error
}

func (e *invalidError) Error() string { return e.text }
func (e *invalidError) Unwrap() error { return e.cause }

func (e *envelope) read() error {
	if err := e.members(theBody); err != nil {
		return err
	}
	switch _, err := e.decoder.ReadToken(); {
	case err == nil:
		return errors.New("the body: must hold one AdmissionReview and nothing after it")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("the body: %w", err)
	}
	return nil
}

// step counts a member or an element, and ends reading once its time is over.
func (e *envelope) step() error {
	const often = 256
	if e.steps++; e.steps%often == 0 && !e.last.IsZero() && time.Now().After(e.last) {
		return errLateRead
	}
	return nil
}

// jsonObject is a JSON object of the envelope, by its path.
type jsonObject string

// The objects of an envelope whose members are read.
const (
	theBody         jsonObject = "the body"
	theRequest      jsonObject = "request"
	requestKind     jsonObject = "request.kind"
	requestResource jsonObject = "request.resource"
	requestUser     jsonObject = "request.userInfo"
	userExtra       jsonObject = "request.userInfo.extra"
)

// member reads the value of a member of an object.
func (e *envelope) member(of jsonObject, name string) error {
	switch of {
	case theBody:
		return e.bodyMember(name)
	case theRequest:
		return e.requestMember(name)
	case requestKind:
		return e.kindMember(name)
	case requestResource:
		return e.resourceMember(name)
	case requestUser:
		return e.userMember(name)
	}
	return e.extraMember(name)
}

func (e *envelope) bodyMember(name string) error {
	switch name {
	case "kind":
		return e.text("kind", &e.reviewKind)
	case "apiVersion":
		return e.text("apiVersion", &e.reviewVersion)
	case "request":
		e.hasRequest = e.decoder.PeekKind() != jsontext.KindNull
		return e.members(theRequest)
	}
	return e.decoder.SkipValue()
}

func (e *envelope) requestMember(name string) error {
	switch name {
	case "uid":
		return e.text("request.uid", (*string)(&e.uid))
	case "kind":
		return e.members(requestKind)
	case "resource":
		return e.members(requestResource)
	case "subResource":
		return e.text("request.subResource", &e.subresource)
	case "namespace":
		return e.text("request.namespace", &e.namespace)
	case "name":
		return e.text("request.name", &e.name)
	case "operation":
		return e.text("request.operation", (*string)(&e.operation))
	case "userInfo":
		return e.members(requestUser)
	case "dryRun":
		return e.flag("request.dryRun", &e.dryRun)
	case "object":
		err := e.raw("request.object", &e.object, &e.parts)
		e.objectEnd = int(e.decoder.InputOffset())
		return err
	case "oldObject":
		if read, err := e.oldLikeNew(); read || err != nil {
			return err
		}
		return e.raw("request.oldObject", &e.oldObject, &e.oldParts)
	case "options":
		return e.raw("request.options", &e.options, nil)
	}
	return e.decoder.SkipValue()
}

func (e *envelope) kindMember(name string) error {
	var unread string // rules need only the resource
	switch name {
	case "group":
		return e.text("request.kind.group", &unread)
	case "version":
		return e.text("request.kind.version", &unread)
	case "kind":
		return e.text("request.kind.kind", &unread)
	}
	return e.decoder.SkipValue()
}

func (e *envelope) resourceMember(name string) error {
	switch name {
	case "group":
		return e.text("request.resource.group", &e.resource.Group)
	case "version":
		return e.text("request.resource.version", &e.resource.Version)
	case "resource":
		return e.text("request.resource.resource", &e.resource.Resource)
	}
	return e.decoder.SkipValue()
}

func (e *envelope) userMember(name string) error {
	switch name {
	case "username":
		return e.text("request.userInfo.username", &e.user.Username)
	case "uid":
		return e.text("request.userInfo.uid", &e.user.UID)
	case "groups":
		return e.texts("request.userInfo.groups", &e.user.Groups)
	case "extra":
		return e.members(userExtra)
	}
	return e.decoder.SkipValue()
}

func (e *envelope) extraMember(name string) error {
	if e.user.Extra == nil {
		e.user.Extra = map[string]authenticationv1.ExtraValue{}
	}
	if e.extras >= maxGroups {
		e.excess = true
		return e.decoder.SkipValue()
	}
	key := strings.Clone(name)
	var values []string
	if err := e.texts("request.userInfo.extra", &values); err != nil {
		return err
	}
	e.user.Extra[key] = values
	e.extras += 1 + len(values)
	return nil
}

// oldLikeNew reads the stored object if it is like the written one, and reports whether it is. That takes about half the time of reading
// it with the decoder, which checks the parts that do not change once more. The decoder cannot skip what it has not read. So it continues
// in a copy of the rest of the body in which both objects are null, once it has read there as far as it had read here.
func (e *envelope) oldLikeNew() (bool, error) {
	name := int(e.decoder.InputOffset())
	if e.parts == nil || name == len(e.body) || e.body[name] != ':' {
		return false, nil
	}
	old, parts, like := object.ReadLike(e.values, e.body[name+1:], e.parts)
	if !like {
		return false, nil
	}
	e.oldObject, e.oldParts = old, parts
	rest := e.body[name+1+len(old):]
	read := slices.Concat(e.body[:e.objectEnd-len(e.object)], []byte("null"), e.body[e.objectEnd:name], []byte(":null"))
	e.body = slices.Concat(read, rest)
	e.decoder.Reset(bytes.NewBuffer(e.body))
	for int(e.decoder.InputOffset()) < len(read) {
		if _, err := e.token("request"); err != nil {
			return false, err
		}
	}
	return true, nil
}

// raw keeps the bytes of an object, which alias the body, and its parts if parts is not nil. null means that there is no object.
func (e *envelope) raw(at string, into *[]byte, parts *object.Parts) (err error) {
	if e.headOnly {
		return errHeadRead
	}
	if parts != nil && e.decoder.PeekKind() == jsontext.KindBeginObject {
		if *into, *parts, err = object.ReadObject(e.decoder, e.body); err != nil {
			return &objectError{fmt.Errorf("%s: %w", at, err)}
		}
		return nil
	}
	value, err := e.decoder.ReadValue()
	if err != nil {
		return &objectError{fmt.Errorf("%s: %w", at, err)}
	}
	if value.Kind() != jsontext.KindNull {
		end := e.decoder.InputOffset()
		*into = e.body[end-int64(len(value)) : end : end]
	}
	return nil
}
