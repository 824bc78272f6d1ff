// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// postPolicy sends a body to POST /policies and returns the answer.
func postPolicy(t *testing.T, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	return postPolicyTo(t, NewPolicyHandler(rules.NewCompiler(), denial.NewMetrics(prometheus.NewRegistry(), rules.All()), logr.Discard()), body, change)
}

func postPolicyTo(t *testing.T, to http.Handler, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/policies?timeout=5s", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	to.ServeHTTP(w, r)
	return w
}

func policyBody(request string) string {
	return `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": ` + request + `}`
}

func TestPoliciesHaveTheBoundsOfWrites(t *testing.T) {
	good := policyBody(policyReview(admissionv1.Create, `{"nodes": {"finalizers": {}}}`, ""))
	spec := func(names string) string {
		return policyBody(policyReview(admissionv1.Create, `{"match": {"nodeNames": [`+names+`]}}`, ""))
	}
	for name, test := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
	}{
		"another method":    {good, func(r *http.Request) { r.Method = http.MethodPut }, http.StatusMethodNotAllowed},
		"another form":      {good, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, http.StatusUnsupportedMediaType},
		"an encoding":       {good, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, http.StatusUnsupportedMediaType},
		"no review":         {`{}`, nil, http.StatusBadRequest},
		"a name twice":      {strings.Replace(good, `"spec"`, `"spec": {}, "spec"`, 1), nil, http.StatusBadRequest},
		"a spec of no form": {strings.Replace(good, `{"nodes": {"finalizers": {}}}`, `[]`, 1), nil, http.StatusBadRequest},
		"no object":         {policyBody(policyReview(admissionv1.Create, "", "")), nil, http.StatusBadRequest},
		"too many bytes": {
			good, func(r *http.Request) { r.Body = http.MaxBytesReader(nil, r.Body, 100) }, http.StatusRequestEntityTooLarge,
		},
		"too many values": {
			spec(strings.Repeat(`"a",`, maxPolicyValues+1) + `"a"`), nil, http.StatusRequestEntityTooLarge,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := postPolicy(t, test.body, test.change)
			if w.Code != test.status || w.Body.Len() > 1024 {
				t.Errorf("got status %d, want %d, and %d bytes", w.Code, test.status, w.Body.Len())
			}
		})
	}
}

func TestTheErrorsOfAPolicyAreBounded(t *testing.T) {
	long := strings.Repeat("a b", 1000)
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprintf("%q", fmt.Sprint(i, long))
	}
	body := policyBody(policyReview(admissionv1.Create, `{"match": {"nodeNames": [`+strings.Join(names, ",")+`]}}`, ""))
	w := postPolicy(t, body, nil)
	if w.Code != http.StatusOK || w.Body.Len() > 256<<10 || !strings.Contains(w.Body.String(), "spec.match.nodeNames") {
		t.Errorf("got status %d and %d bytes", w.Code, w.Body.Len())
	}
}

func TestAPolicyThatIsNotValidatedInTimeIsAnError(t *testing.T) {
	body := policyBody(policyReview(admissionv1.Create, `{"nodes": {"finalizers": {}}}`, ""))
	q := decodeReview(t, body)
	if _, _, err := validateWrite(rules.NewCompiler(), q, time.Now().Add(-time.Second)); unvalidated(err).status != http.StatusServiceUnavailable {
		t.Errorf("got %v", err)
	}
}

func decodeReview(t *testing.T, body string) *policy.Request {
	t.Helper()
	rev, err := review.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &rev.Request
}
