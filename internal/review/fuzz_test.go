// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review_test

import (
	"bytes"
	"testing"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/review"
)

// FuzzDecode looks for bytes that panic, that make errors large, or whose answer does not fit the review.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(kubeletUpdate))
	f.Add([]byte(replaced(f, "system:node:worker-1", "system:node:")))
	f.Add([]byte(replaced(f, `"labels":{`, `"labels":{"a":"x",`)))
	f.Add([]byte(userLast(f)))
	f.Add([]byte(`{"kind":"Node"}`))
	f.Add([]byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}`))
	set := compiled(f, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		if head, err := review.DecodeHead(body, "too large"); err == nil {
			if v := head.Evaluate(set, nil); set.Evaluates(&head.Request) && head.Kubelet && !v.Denied() {
				t.Fatal("a head was allowed")
			}
		}
		r, err := review.Decode(body)
		if err != nil {
			if len(err.Error()) > 2048 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if len(r.Request.Object) > 0 && !bytes.Contains(body, r.Request.Object) {
			t.Fatal("the object is not a part of the body")
		}
		v := r.Evaluate(set, nil)
		answer := admissionv1.AdmissionReview{}
		if err := json.Unmarshal(r.Answer(v, review.Receipt{Boot: "b", Seq: 1}), &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Response.UID != r.UID || answer.Response.Allowed == v.Denied() {
			t.Fatalf("the answer %+v is not that of the review", answer.Response)
		}
		if len(v.Message()) > 1024 {
			t.Fatalf("a message of %d bytes", len(v.Message()))
		}
	})
}
