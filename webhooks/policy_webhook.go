// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/deadline"
	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

const (
	// policyResource is the resource of policies.
	policyResource = "noderestrictionpolicies"

	// maxPolicyValues is the maximum number of commas in the new and the old policy together, not counting those in strings.
	maxPolicyValues = 100_000

	tooManyValues = "the policy has too many values"

	// maxValue is the maximum length of a name or an error from a request, in bytes.
	maxValue = 256

	// maxProblems, maxProblem and maxProblemBytes bound the number, the size and the total size of the errors in an answer.
	maxProblems     = 100
	maxProblem      = 1 << 10
	maxProblemBytes = 32 << 10
)

// policyHandler answers POST /policies.
type policyHandler struct {
	receiver
	compiler *policy.Compiler
}

// NewPolicyHandler returns the handler for POST /policies, which validates NodeRestrictionPolicies as they are
// applied. Every error is reported with its field; what is valid but probably a mistake is a warning.
//
// It is a convenience for users who apply a policy. If it is not called, does not answer in time, or refuses a request that is
// too large, a policy that does not compile is stored, and its status says so.
func NewPolicyHandler(compiler *policy.Compiler, metrics *denial.Metrics, log logr.Logger) http.Handler {
	return &policyHandler{newReceiver(metrics, log), compiler}
}

// ServeHTTP implements http.Handler.
func (h *policyHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	due := deadline.Of(r, time.Now())
	buffer := h.buffer()
	defer h.release(buffer)
	answer, refused := h.handle(r, buffer, due)
	if refused != nil {
		h.refuse(w, r, refused)
		return
	}
	h.answer(w, answer)
}

func (h *policyHandler) handle(r *http.Request, buffer *bytes.Buffer, due deadline.Deadline) ([]byte, *refusal) {
	large, refused := h.receive(r, buffer)
	switch {
	case refused != nil:
		return nil, refused
	case large:
		return nil, &refusal{http.StatusRequestEntityTooLarge, denial.RefusedMalformed, tooLarge}
	}
	rev, err := h.reviews.DecodeUntil(buffer.Bytes(), due.Last())
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, denial.RefusedMalformed, err.Error()}
	}
	if rev.Probe() {
		return rev.Answer(rev.Refuse(review.ProbeDenied), review.Receipt{}), nil
	}
	q := &rev.Request
	if q.Resource != policyResource+"."+v1alpha1.GroupName || q.Subresource != "" {
		return policyAnswer(rev, nil, apierrors.NewBadRequest(
			fmt.Sprintf("only %s.%s are validated here", policyResource, v1alpha1.GroupName))), nil
	}
	if values(q.Object)+values(q.OldObject) > maxPolicyValues {
		return nil, &refusal{http.StatusRequestEntityTooLarge, denial.RefusedMalformed, tooManyValues}
	}
	warnings, invalid, err := validateWrite(h.compiler, q, due.Last())
	if err != nil {
		return nil, unvalidated(err)
	}
	return policyAnswer(rev, warnings, invalid), nil
}

// values returns the number of commas in JSON, not counting those in strings.
func values(body []byte) int {
	n, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			inString = !inString
		case c == '\\' && inString:
			i++
		case c == ',' && !inString:
			n++
		}
	}
	return n
}

// errNoTime is the error of a policy that is not validated in time.
var errNoTime = errors.New("the policy could not be validated in time")

// unvalidated returns the refusal of a policy that could not be validated.
func unvalidated(err error) *refusal {
	if errors.Is(err, errNoTime) {
		return &refusal{http.StatusServiceUnavailable, denial.RefusedLate, err.Error()}
	}
	return &refusal{http.StatusBadRequest, denial.RefusedMalformed, text.Bound(err.Error(), maxValue)}
}

// validateWrite validates the policy in a review. A policy may always be deleted, and one whose spec does not change may be
// written even if it does not compile: its labels can be changed, and its finalizers removed.
func validateWrite(
	compiler *policy.Compiler, q *policy.Request, last time.Time,
) (warnings []string, invalid *apierrors.StatusError, err error) {
	if q.Operation != admissionv1.Create && q.Operation != admissionv1.Update {
		return nil, nil, nil
	}
	if q.Undecodable != "" {
		return nil, nil, errors.New(q.Undecodable)
	}
	p, err := decodePolicy(q.Object, last)
	if err != nil {
		return nil, nil, fmt.Errorf("the object: %w", err)
	}
	if q.Operation == admissionv1.Update {
		old, err := decodePolicy(q.OldObject, last)
		if err != nil {
			return nil, nil, fmt.Errorf("the old object: %w", err)
		}
		if equality.Semantic.DeepEqual(old.Spec, p.Spec) {
			return nil, nil, nil
		}
	}
	warnings, invalid = validatePolicy(compiler, p)
	if time.Now().After(last) {
		return nil, nil, errNoTime
	}
	return warnings, invalid, nil
}

func decodePolicy(raw []byte, last time.Time) (*v1alpha1.NodeRestrictionPolicy, error) {
	if time.Now().After(last) {
		return nil, errNoTime
	}
	if len(raw) == 0 {
		return nil, errors.New("must be set")
	}
	p := &v1alpha1.NodeRestrictionPolicy{}
	return p, json.Unmarshal(raw, p)
}

// validatePolicy returns the warnings and errors that the schema of the CRD cannot express.
func validatePolicy(
	compiler *policy.Compiler, p *v1alpha1.NodeRestrictionPolicy,
) (warnings []string, invalid *apierrors.StatusError) {
	for _, warning := range compiler.Warnings(p) {
		if len(warnings) == maxProblems {
			break
		}
		warnings = append(warnings, text.Bound(warning, maxProblem))
	}
	if _, errs := compiler.Compile(p); len(errs) > 0 {
		return warnings, invalidPolicy(p, errs)
	}
	return warnings, nil
}

// invalidPolicy returns the errors of a policy, bounded to what an answer may have.
func invalidPolicy(p *v1alpha1.NodeRestrictionPolicy, errs field.ErrorList) *apierrors.StatusError {
	shown, size := field.ErrorList{}, 0
	for _, err := range errs {
		if size += len(err.Error()); len(shown) > 0 && (size > maxProblemBytes || len(shown) == maxProblems) {
			break
		}
		shown = append(shown, err)
	}
	kind := v1alpha1.GroupVersion().WithKind(v1alpha1.Kind).GroupKind()
	invalid := apierrors.NewInvalid(kind, text.Bound(p.Name, maxValue), shown)
	status := &invalid.ErrStatus
	for i := range status.Details.Causes {
		status.Details.Causes[i].Message = text.Bound(status.Details.Causes[i].Message, maxProblem)
	}
	if len(status.Message) > maxProblemBytes {
		status.Message = text.Bound(status.Message, maxProblemBytes)
	}
	if left := len(errs) - len(shown); left > 0 {
		status.Message += fmt.Sprintf(" and %d more errors", left)
	}
	return invalid
}

// policyAnswer returns the AdmissionReview that answers a review of a policy.
func policyAnswer(rev *review.Review, warnings []string, invalid *apierrors.StatusError) []byte {
	response := &admissionv1.AdmissionResponse{UID: rev.UID, Allowed: invalid == nil, Warnings: warnings}
	if invalid != nil {
		response.Result = &invalid.ErrStatus
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{Kind: "AdmissionReview", APIVersion: admissionv1.SchemeGroupVersion.String()},
		Response: response,
	}, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic(err) // strings, numbers and booleans always have a form in JSON
	}
	return body
}
