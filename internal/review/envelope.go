package review

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/policy"
)

// envelope is an AdmissionReview while it is read, in one pass over the body.
type envelope struct {
	body     []byte
	decoder  *jsontext.Decoder
	headOnly bool

	reviewKind, reviewVersion string
	hasRequest                bool

	uid                          types.UID
	kind                         metav1.GroupVersionKind
	resource                     metav1.GroupVersionResource
	subresource, namespace, name string
	operation                    admissionv1.Operation
	user                         authenticationv1.UserInfo
	dryRun                       bool
	object, oldObject, options   []byte
	parts, oldParts              policy.Parts
}

// errHeadRead ends the reading of a head.
var errHeadRead = errors.New("the head has been read")

// objectError says that an object in the envelope is malformed, while everything before it is well-formed.
type objectError struct{ cause error }

func (e *objectError) Error() string { return e.cause.Error() }
func (e *objectError) Unwrap() error { return e.cause }

// invalidError is an error about an envelope, cut and printable.
type invalidError struct {
	text  string
	cause error
}

func (e *invalidError) Error() string { return e.text }
func (e *invalidError) Unwrap() error { return e.cause }

func (e *envelope) read() error {
	if err := e.members("the body", e.readMember); err != nil {
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

func (e *envelope) readMember(name string) error {
	switch name {
	case "kind":
		return e.value(name, &e.reviewKind)
	case "apiVersion":
		return e.value(name, &e.reviewVersion)
	case "request":
		if e.decoder.PeekKind() == jsontext.KindNull {
			return e.decoder.SkipValue()
		}
		e.hasRequest = true
		return e.members(name, e.readRequestMember)
	}
	return e.decoder.SkipValue()
}

func (e *envelope) readRequestMember(name string) error {
	switch name {
	case "uid":
		return e.value("request.uid", &e.uid)
	case "kind":
		return e.value("request.kind", &e.kind)
	case "resource":
		return e.value("request.resource", &e.resource)
	case "subResource":
		return e.value("request.subResource", &e.subresource)
	case "namespace":
		return e.value("request.namespace", &e.namespace)
	case "name":
		return e.value("request.name", &e.name)
	case "operation":
		return e.value("request.operation", &e.operation)
	case "userInfo":
		return e.value("request.userInfo", &e.user)
	case "dryRun":
		return e.value("request.dryRun", &e.dryRun)
	case "object":
		return e.raw("request.object", &e.object, &e.parts)
	case "oldObject":
		return e.raw("request.oldObject", &e.oldObject, &e.oldParts)
	case "options":
		return e.raw("request.options", &e.options, nil)
	}
	return e.decoder.SkipValue()
}

// members reads a JSON object; member must read the value of the named member.
func (e *envelope) members(at string, member func(name string) error) error {
	start, err := e.decoder.ReadToken()
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if start.Kind() != jsontext.KindBeginObject {
		return fmt.Errorf("%s: must be a JSON object", at)
	}
	for e.decoder.PeekKind() != jsontext.KindEndObject {
		name, err := e.decoder.ReadToken()
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err = e.decoder.ReadToken()
	return err
}

func (e *envelope) value(at string, into any) error {
	if err := json.UnmarshalDecode(e.decoder, into); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// raw keeps an object as the part of the body that it is, and its own parts if they are asked for. null stands for none.
func (e *envelope) raw(at string, into *[]byte, parts *policy.Parts) (err error) {
	if e.headOnly {
		return errHeadRead
	}
	if parts != nil && e.decoder.PeekKind() == jsontext.KindBeginObject {
		if *into, *parts, err = policy.ReadObject(e.decoder, e.body); err != nil {
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

// printable escapes what does not print, also half a character at the end.
func printable(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
