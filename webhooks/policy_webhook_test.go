// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/denial"
	"noderestriction.plus/policy/rules"
)

// validate sends a review to POST /policies and returns the answer.
func validate(t *testing.T, request string) *admissionv1.AdmissionResponse {
	t.Helper()
	policies := NewPolicyHandler(rules.NewCompiler(), denial.NewMetrics(prometheus.NewRegistry(), rules.All()), logr.Discard())
	body := `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": ` + request + `}`
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/policies?timeout=5s", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	Routes(http.NotFoundHandler(), policies).ServeHTTP(w, r)
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil || review.Response == nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if review.Response.UID != "1" || review.APIVersion != "admission.k8s.io/v1" {
		t.Errorf("answer %+v", review)
	}
	return review.Response
}

// policyReview is the request of a review of a policy with the given specs.
func policyReview(operation admissionv1.Operation, spec, oldSpec string) string {
	object := func(spec string) string {
		if spec == "" {
			return "null"
		}
		return `{"apiVersion": "noderestriction.plus/v1alpha1", "kind": "NodeRestrictionPolicy",
			"metadata": {"name": "test"}, "spec": ` + spec + `}`
	}
	return `{"uid": "1", "userInfo": {"username": "admin"}, "operation": "` + string(operation) + `", "name": "test",
		"kind": {"group": "noderestriction.plus", "version": "v1alpha1", "kind": "NodeRestrictionPolicy"},
		"resource": {"group": "noderestriction.plus", "version": "v1alpha1", "resource": "noderestrictionpolicies"},
		"object": ` + object(spec) + `, "oldObject": ` + object(oldSpec) + `}`
}

func TestPolicyWebhook(t *testing.T) {
	const (
		valid  = `{"validationActions": ["Audit"], "nodes": {"finalizers": {}}}`
		broken = `{"validationActions": ["Deny", "Warn"], "nodes": {"labels": {"update": {"allowed": ["no pattern"]}}}}`
		warned = `{"validationActions": ["Audit"], "match": {"nodeSelector": {"matchLabels": {"example.com/pool": "a"}}}, "nodes": {"finalizers": {}}}`
	)
	for _, test := range []struct {
		name    string
		request string
		errors  []string // fields
		warning string
	}{
		{name: "a valid policy is allowed", request: policyReview(admissionv1.Create, valid, "")},
		{
			name: "every error of a new policy is reported", request: policyReview(admissionv1.Create, broken, ""),
			errors: []string{"spec.validationActions", "spec.nodes.labels.update.allowed[0]"},
		},
		{
			name: "every error of a changed policy is reported", request: policyReview(admissionv1.Update, broken, valid),
			errors: []string{"spec.validationActions", "spec.nodes.labels.update.allowed[0]"},
		},
		{
			name:    "a stored policy that does not compile may be written as long as its spec stays",
			request: policyReview(admissionv1.Update, broken, broken),
		},
		{
			name:    "a policy that does not compile may be deleted",
			request: policyReview(admissionv1.Delete, "", broken),
		},
		{
			name:    "a selector on a label that kubelets set is allowed with a warning",
			request: policyReview(admissionv1.Create, warned, ""), warning: "example.com/pool",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := validate(t, test.request)
			if answer.Allowed != (len(test.errors) == 0) {
				t.Errorf("allowed %v: %+v", answer.Allowed, answer.Result)
			}
			if len(test.errors) > 0 {
				if answer.Result.Code != http.StatusUnprocessableEntity || answer.Result.Reason != "Invalid" {
					t.Errorf("got %d %s", answer.Result.Code, answer.Result.Reason)
				}
				for i, field := range test.errors {
					if causes := answer.Result.Details.Causes; i >= len(causes) || causes[i].Field != field ||
						!strings.Contains(answer.Result.Message, field) {
						t.Errorf("no error for %s: %+v", field, answer.Result)
					}
				}
			}
			if warnings := strings.Join(answer.Warnings, "\n"); !strings.Contains(warnings, test.warning) ||
				test.warning == "" && warnings != "" {
				t.Errorf("warnings %q", warnings)
			}
		})
	}
}

func TestPolicyWebhookDecodesOnlyPolicies(t *testing.T) {
	answer := validate(t, `{"uid": "1", "userInfo": {"username": "admin"}, "operation": "CREATE", "name": "test",
		"resource": {"group": "", "version": "v1", "resource": "nodes"}, "object": {"kind": "Node"}}`)
	if answer.Allowed || answer.Result.Code != http.StatusBadRequest {
		t.Errorf("got %+v", answer)
	}
}

// TestPolicyWebhookDeniesTheProbe sends the probe's CSINode, which is no policy, and that of another kubelet.
func TestPolicyWebhookDeniesTheProbe(t *testing.T) {
	for node, want := range map[string]string{
		"node-restriction-plus-probe": "the enforcement probe is denied, as it should be",
		"worker-1":                    "only noderestrictionpolicies.noderestriction.plus are validated here",
	} {
		got := validate(t, `{"uid": "1", "userInfo": {"username": "system:node:`+node+`"}, "operation": "CREATE", "name": "`+node+`",
			"kind": {"group": "storage.k8s.io", "version": "v1", "kind": "CSINode"}, "dryRun": true,
			"resource": {"group": "storage.k8s.io", "version": "v1", "resource": "csinodes"}, "object": {"metadata": {"name": "`+node+`"}}}`)
		if got.Allowed || got.Result.Message != want {
			t.Errorf("%s: allowed %t, %+v", node, got.Allowed, got.Result)
		}
	}
}

func TestRoutes(t *testing.T) {
	reached := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Reached", name) })
	}
	routes := Routes(reached("admit"), reached("policies"))
	for _, test := range []struct {
		method, target, reached string
		code                    int
	}{
		{"POST", "/admit?timeout=2s", "admit", 200},
		{"POST", "/policies?timeout=2s", "policies", 200},
		{"GET", "/policies", "policies", 200},
		{"POST", "/", "", 404},
		{"POST", "/admit/x", "", 404},
	} {
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), test.method, test.target, nil))
		if w.Code != test.code || w.Header().Get("Reached") != test.reached {
			t.Errorf("%s %s: %d, reached %q", test.method, test.target, w.Code, w.Header().Get("Reached"))
		}
	}
}
