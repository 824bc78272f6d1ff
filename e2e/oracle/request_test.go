// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"encoding/json"
	"fmt"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// request is a write, for the plugin and for a webhook. An object is nil if the API server sends no object.
type request struct {
	user                         string
	groups                       []string
	operation                    admissionv1.Operation
	resource                     schema.GroupVersionResource
	kind                         schema.GroupVersionKind
	subresource, namespace, name string
	object, old                  runtime.Object
}

func (r *request) String() string {
	object, _ := json.Marshal(r.object)
	old, _ := json.Marshal(r.old)
	return fmt.Sprintf("%s %q %s %s subresource %q, namespace %q, name %q\nobject %s\nold %s",
		r.user, r.groups, r.operation, r.resource.GroupResource(), r.subresource, r.namespace, r.name, object, old)
}

// review returns the body that the API server sends to a webhook.
func (r *request) review(t testing.TB) []byte {
	t.Helper()
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{Kind: "AdmissionReview", APIVersion: "admission.k8s.io/v1"},
		Request: &admissionv1.AdmissionRequest{
			UID:  "705ab4f5-6393-11e8-b7cc-42010a800002",
			Kind: metav1.GroupVersionKind(r.kind), Resource: metav1.GroupVersionResource(r.resource),
			SubResource: r.subresource, Namespace: r.namespace, Name: r.name, Operation: r.operation,
			UserInfo: authenticationv1.UserInfo{Username: r.user, Groups: r.groups},
			Object:   runtime.RawExtension{Raw: encode(t, r.object)}, OldObject: runtime.RawExtension{Raw: encode(t, r.old)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// evaluate returns the verdict of a webhook that enforces the baseline: empty, or the message of the denial.
func evaluate(t testing.TB, set *policy.Set, facts policy.Facts, r *request) string {
	t.Helper()
	decoded, err := review.Decode(r.review(t))
	if err != nil {
		t.Fatalf("%v\n%s", err, r)
	}
	verdict := decoded.Evaluate(set, facts)
	if verdict.Err != nil && !verdict.Denied() {
		t.Fatalf("%v\n%s", verdict.Err, r)
	}
	return verdict.Message()
}

// wholeBaseline returns a policy with the baseline for each resource.
func wholeBaseline(t testing.TB) *policy.Set {
	t.Helper()
	p, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "baseline"},
		Spec: v1alpha1.NodeRestrictionPolicySpec{ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Baseline: &v1alpha1.Baseline{
			Resources: []v1alpha1.BaselineResource{
				v1alpha1.BaselineNodes, v1alpha1.BaselinePods, v1alpha1.BaselinePersistentVolumeClaims,
				v1alpha1.BaselineServiceAccounts, v1alpha1.BaselineLeases, v1alpha1.BaselineCSINodes,
				v1alpha1.BaselineResourceSlices, v1alpha1.BaselineCertificateSigningRequests,
				v1alpha1.BaselinePodCertificateRequests,
			},
		}},
	})
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return policy.NewSet(p)
}
