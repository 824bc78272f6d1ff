// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/policy"
)

// maxAnnotation is the maximum length of an audit annotation, in bytes; a message is not longer.
const maxAnnotation = 1024

// Receipt identifies the record of a verdict. The zero Receipt means that there is no record.
type Receipt struct {
	Boot string // the replica that wrote it
	Seq  uint64 // its number there, from 1
	// Missing says that the record was not in the log in time for the answer. It may be late, or lost.
	Missing bool
}

// Answer returns the AdmissionReview that answers the review, as JSON. A denial is 403 with reason Forbidden, the only status
// after which a kubelet continues to register. A write that violates a policy, denied or not, has the audit
// annotations decision (denied, warned or audited), policy and rule (comma-separated), message if a policy audits, boot and
// seq of its record, and record with the value "missing" if it was not written in time. The API server keeps them for
// denials too, so that they are the second copy of the record.
func (r *Review) Answer(v Verdict, receipt Receipt) []byte {
	if len(v.Violations) == 0 {
		return r.allowance()
	}
	response := &admissionv1.AdmissionResponse{
		UID: r.UID, Allowed: !v.Denied(), AuditAnnotations: annotations(v, receipt),
	}
	if v.Denied() {
		response.Result = &metav1.Status{
			Status:  metav1.StatusFailure,
			Code:    http.StatusForbidden,
			Reason:  metav1.StatusReasonForbidden,
			Message: v.Message(),
		}
	}
	if warning := v.Warning(); warning != "" {
		response.Warnings = []string{warning}
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{Kind: reviewKind, APIVersion: reviewVersion},
		Response: response,
	}, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic(err) // strings, numbers and booleans always have a form in JSON
	}
	return body
}

// allowance returns the answer to nearly every write, without an encoder.
func (r *Review) allowance() []byte {
	const (
		before = `{"kind":"` + reviewKind + `","apiVersion":"` + reviewVersion + `","response":{"uid":`
		after  = `,"allowed":true}}`
	)
	answer := append(make([]byte, 0, len(before)+len(after)+len(r.UID)+8), before...)
	answer, err := jsontext.AppendQuote(answer, string(r.UID))
	if err != nil {
		panic(err) // a uid comes from JSON without invalid UTF-8
	}
	return append(answer, after...)
}

func annotations(v Verdict, receipt Receipt) map[string]string {
	a := map[string]string{
		"decision": string(v.Outcome()),
		"policy":   list(v.Violations, func(v policy.PolicyViolation) string { return v.Policy }),
		"rule":     list(v.Violations, func(v policy.PolicyViolation) string { return string(v.Rule) }),
	}
	if message := v.AuditMessage(); message != "" {
		a["message"] = message
	}
	if receipt.Seq != 0 {
		a["boot"], a["seq"] = receipt.Boot, strconv.FormatUint(receipt.Seq, 10)
	}
	if receipt.Missing {
		a["record"] = "missing"
	}
	return a
}

// list joins the distinct values in order, as many as fit.
func list(violations []policy.PolicyViolation, value func(policy.PolicyViolation) string) string {
	const more = ",..."
	var values []string
	size := 0
	for _, violation := range violations {
		s := value(violation)
		if slices.Contains(values, s) {
			continue
		}
		if size += len(s) + 1; size > maxAnnotation-len(more) {
			return strings.Join(values, ",") + more
		}
		values = append(values, s)
	}
	return strings.Join(values, ",")
}
