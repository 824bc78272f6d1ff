// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

func TestAnswer(t *testing.T) {
	const head = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"` + uid + `",`
	const denied = head + `"allowed":false,"status":{"status":"Failure","message":"`
	const forbidden = `","reason":"Forbidden","code":403},"auditAnnotations":{`
	const violation = `NodeRestrictionPolicy \"test\": node labels (must not add \"a\")`
	tests := map[string]struct {
		body    string
		actions []v1alpha1.ValidationAction // nil: Deny
		receipt review.Receipt
		want    string
	}{
		"somebody else is allowed": {
			body: replaced(t, "system:node:worker-1", "admin"),
			want: head + `"allowed":true}}`,
		},
		"a denial carries the message and the annotations": {
			body:    kubeletUpdate,
			receipt: review.Receipt{Boot: "b7", Seq: 1412},
			want: denied + `node \"worker-1\" violates ` + violation + forbidden +
				`"boot":"b7","decision":"denied","policy":"test","rule":"node-labels","seq":"1412"}}}`,
		},
		"a denial without a record has no seq": {
			body: kubeletUpdate,
			want: denied + `node \"worker-1\" violates ` + violation + forbidden +
				`"decision":"denied","policy":"test","rule":"node-labels"}}}`,
		},
		"a warning": {
			body:    kubeletUpdate,
			actions: []v1alpha1.ValidationAction{v1alpha1.Warn},
			want: head + `"allowed":true,` +
				`"auditAnnotations":{"decision":"warned","policy":"test","rule":"node-labels"},` +
				`"warnings":["node \"worker-1\" would violate ` + violation + `"]}}`,
		},
		"an audit": {
			body:    kubeletUpdate,
			actions: []v1alpha1.ValidationAction{v1alpha1.Audit},
			want: head + `"allowed":true,"auditAnnotations":{"decision":"audited",` +
				`"message":"node \"worker-1\" would violate ` + violation + `","policy":"test","rule":"node-labels"}}}`,
		},
		"a denial that no policy decides": {
			body: replaced(t, "system:node:worker-1", "system:node:"),
			want: denied + `the user name of the kubelet names no node` + forbidden +
				`"decision":"denied","policy":"","rule":"unverified"}}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := decoded(t, test.body)
			set := compiled(t, func(p *v1alpha1.NodeRestrictionPolicy) {
				if test.actions != nil {
					p.Spec.ValidationActions = test.actions
				}
			})
			v := r.Evaluate(set, nil)
			if got := string(r.Answer(v, test.receipt)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestAnswerBoundsItsAnnotations(t *testing.T) {
	r := decoded(t, kubeletUpdate)
	v := r.Refuse("x")
	for i := range 100 {
		v.Violations = append(v.Violations, policy.PolicyViolation{
			Policy: strings.Repeat(string(rune('a'+i%26)), 253-i/26),
			Rule:   "node-labels",
			Action: v1alpha1.Deny,
		})
	}
	answer := admissionv1.AdmissionReview{}
	if err := json.Unmarshal(r.Answer(v, review.Receipt{}), &answer); err != nil {
		t.Fatal(err)
	}
	for key, value := range answer.Response.AuditAnnotations {
		if len(value) > 1024 {
			t.Errorf("%s has %d bytes", key, len(value))
		}
	}
	if got := answer.Response.AuditAnnotations["policy"]; !strings.HasSuffix(got, ",...") {
		t.Errorf("policy: got %q, want it to say that names were left out", got)
	}
}
