// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"reflect"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"

	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/program"
)

func guardOptions() compile.GuardOptions {
	return compile.GuardOptions{
		Group: compile.DefaultGuardGroup, Namespace: "security", ServiceAccount: "nrp", Writers: []string{"cainjector"},
	}
}

const guardProgram = "system:serviceaccount:security:nrp"

// guardParts are the parts of a guard, as an API server evaluates them.
func guardParts(t *testing.T, o compile.GuardOptions) map[string]*enforced {
	t.Helper()
	parts := map[string]*enforced{}
	for _, kind := range compile.Guard(o) {
		e, errs := newEnforced(kind)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(kind.Policy.Name, program.Name+".guard."), ".static.k8s.io")
		parts[name] = e
	}
	return parts
}

// guardWrite is a write that the guard may deny.
type guardWrite struct {
	user      *user.DefaultInfo
	operation admission.Operation
	resource  schema.GroupVersionResource
	namespace string
	old, new  runtime.Object
}

// evaluate returns the messages of what is denied, and false if no match condition lets the write in.
func (w *guardWrite) evaluate(t *testing.T, e *enforced) (denials []string, matched bool) {
	t.Helper()
	a := &admission.VersionedAttributes{Attributes: admission.NewAttributesRecord(
		w.new, w.old, schema.GroupVersionKind{}, w.namespace, "", w.resource, "", w.operation, nil, false, w.user)}
	a.VersionedObject.Set(w.new)
	a.VersionedOldObject.Set(w.old)
	result := e.validator.Validate(t.Context(), w.resource, a, nil, nil, celconfig.RuntimeCELCostBudget, nil)
	for _, d := range result.Decisions {
		if d.Evaluation == validating.EvalError {
			t.Errorf("%s: %s", e.Policy.Name, d.Message)
		}
		if d.Action == validating.ActionDeny {
			denials = append(denials, d.Message)
		}
	}
	decision := ""
	for _, annotation := range result.AuditAnnotations {
		if annotation.Error != "" {
			t.Fatalf("%s: %s: %s", e.Policy.Name, annotation.Key, annotation.Error)
		}
		if annotation.Key == "decision" {
			decision = annotation.Value
		}
	}
	if (decision == "denied") != (len(denials) > 0) {
		t.Errorf("%s: the annotation is %q, and denied is %v", e.Policy.Name, decision, denials)
	}
	return denials, result.Decisions != nil
}

func admin() *user.DefaultInfo {
	return &user.DefaultInfo{Name: "admin", Groups: []string{"system:masters", "system:authenticated"}}
}

// TestGuardIsTotal evaluates each part of the guard on sparse objects: an error would deny writes that the guard is not about.
func TestGuardIsTotal(t *testing.T) {
	o := guardOptions()
	o.Certificates, o.Conditions = []string{strings.Repeat("0", 64)}, true
	made := func(members map[string]any) runtime.Object { return &unstructured.Unstructured{Object: members} }
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	sparse := map[string][2]runtime.Object{
		"nothing":                 {nil, nil},
		"an empty object":         {nil, made(map[string]any{})},
		"a deleted object":        {made(map[string]any{"metadata": map[string]any{}}), nil},
		"two empty objects":       {made(map[string]any{}), made(map[string]any{})},
		"null metadata":           {made(map[string]any{"metadata": nil}), made(map[string]any{"spec": nil})},
		"a typed object":          {configuration, configuration},
		"a typed new object":      {nil, &corev1.Pod{}},
		"options of a connection": {nil, &corev1.PodExecOptions{}},
	}
	users := []*user.DefaultInfo{{}, admin(), {Name: "x", Groups: []string{compile.DefaultGuardGroup}, Extra: map[string][]string{
		"authentication.kubernetes.io/credential-id": {},
	}}}
	for part, e := range guardParts(t, o) {
		for name, objects := range sparse {
			for _, u := range users {
				w := guardWrite{user: u, operation: admission.Update, old: objects[0], new: objects[1]}
				if denials, matched := w.evaluate(t, e); matched && part != "noderestrictionpolicies" {
					t.Errorf("%s: %s: an object without a name is kept: %v", part, name, denials)
				}
			}
		}
	}
}

// changesOf has a change for each field of a webhook, by its Go name.
func changesOf() map[string]func(*admissionregistrationv1.ValidatingWebhook) {
	type webhook = admissionregistrationv1.ValidatingWebhook
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	return map[string]func(*webhook){
		"Name":                    func(w *webhook) { w.Name = "x.example.com" },
		"ClientConfig.URL":        func(w *webhook) { w.ClientConfig.URL = new("https://127.0.0.1/x") },
		"ClientConfig.Service":    func(w *webhook) { w.ClientConfig.Service.Path = new("/x") },
		"ClientConfig.CABundle":   func(w *webhook) { w.ClientConfig.CABundle = []byte("x") },
		"Rules":                   func(w *webhook) { w.Rules[0].Operations = []admissionregistrationv1.OperationType{"DELETE"} },
		"FailurePolicy":           func(w *webhook) { w.FailurePolicy = new(admissionregistrationv1.Ignore) },
		"MatchPolicy":             func(w *webhook) { w.MatchPolicy = nil },
		"NamespaceSelector":       func(w *webhook) { w.NamespaceSelector = selector },
		"ObjectSelector":          func(w *webhook) { w.ObjectSelector = selector },
		"SideEffects":             func(w *webhook) { w.SideEffects = new(admissionregistrationv1.SideEffectClassUnknown) },
		"TimeoutSeconds":          func(w *webhook) { w.TimeoutSeconds = new(int32(1)) },
		"AdmissionReviewVersions": func(w *webhook) { w.AdmissionReviewVersions = []string{"v1", "v2"} },
		"MatchConditions":         func(w *webhook) { w.MatchConditions[0].Expression = "false" },
	}
}

func guardedConfiguration() *admissionregistrationv1.ValidatingWebhookConfiguration {
	webhook := admissionregistrationv1.ValidatingWebhook{
		Name: "gate.noderestriction.plus", FailurePolicy: new(admissionregistrationv1.Fail), MatchPolicy: new(admissionregistrationv1.Equivalent),
		ClientConfig: admissionregistrationv1.WebhookClientConfig{
			CABundle: []byte("ca"), Service: &admissionregistrationv1.ServiceReference{Namespace: "security", Name: "nrp", Path: new("/admit")},
		},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{"UPDATE"},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"nodes"}},
		}},
		MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "line", Expression: "true"}},
	}
	other := *webhook.DeepCopy()
	other.Name = "status.noderestriction.plus"
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: program.Name, Annotations: map[string]string{"a": "b"}},
		Webhooks:   []admissionregistrationv1.ValidatingWebhook{webhook, other},
	}
}

// TestGuardSeesEveryFieldOfAWebhook changes each field of a webhook, as different clients. A field that a later Kubernetes adds must be
// added to the guard.
func TestGuardSeesEveryFieldOfAWebhook(t *testing.T) {
	changes := changesOf()
	for _, of := range []struct {
		prefix string
		kind   reflect.Type
	}{
		{"", reflect.TypeFor[admissionregistrationv1.ValidatingWebhook]()},
		{"ClientConfig.", reflect.TypeFor[admissionregistrationv1.WebhookClientConfig]()},
	} {
		for i := range of.kind.NumField() {
			if name := of.prefix + of.kind.Field(i).Name; name != "ClientConfig" && changes[name] == nil {
				t.Errorf("the guard may not see the field %s", name)
			}
		}
	}
	following := guardOptions()
	following.Conditions = true
	for _, test := range []struct {
		options compile.GuardOptions
		user    *user.DefaultInfo
		may     []string
	}{
		{guardOptions(), admin(), nil},
		{guardOptions(), &user.DefaultInfo{Name: guardProgram}, []string{"ClientConfig.CABundle"}},
		{guardOptions(), &user.DefaultInfo{Name: "cainjector"}, []string{"ClientConfig.CABundle"}},
		{guardOptions(), &user.DefaultInfo{Name: "x", Groups: []string{"system:serviceaccounts:kube-system"}}, nil},
		{following, &user.DefaultInfo{Name: guardProgram}, []string{"ClientConfig.CABundle", "MatchConditions"}},
		{following, &user.DefaultInfo{Name: "cainjector"}, []string{"ClientConfig.CABundle"}},
	} {
		e := guardParts(t, test.options)["webhooks"]
		for field, change := range changes {
			for at := range 2 {
				old, updated := guardedConfiguration(), guardedConfiguration()
				change(&updated.Webhooks[at])
				w := guardWrite{user: test.user, operation: admission.Update, old: old, new: updated}
				denials, matched := w.evaluate(t, e)
				may := false
				for _, name := range test.may {
					may = may || name == field
				}
				if !matched || may != (len(denials) == 0) {
					t.Errorf("%s changes %s: denied is %v", test.user.Name, field, denials)
				}
			}
		}
	}
}

// TestGuardKeepsNamesOnly evaluates deletions of objects with similar names.
func TestGuardKeepsNamesOnly(t *testing.T) {
	parts := guardParts(t, guardOptions())
	for _, test := range []struct {
		part, name string
		kept       bool
	}{
		{"webhooks", "node-restriction-plus", true},
		{"webhooks", "node-restriction-plus-2", false},
		{"policies", "node-restriction-plus-recommended", true},
		{"policies", "node-restriction-plus.quantities", true},
		{"policies", "node-restriction-plus", false},
		{"policies", "node-restriction-plusx", false},
		{"crd", "noderestrictionpolicies.noderestriction.plus", true},
		{"crd", "noderestrictionpolicies.example.com", false},
		{"noderestrictionpolicies", "any", true},
		{"access", "node-restriction-plus", true},
		{"access", "cluster-admin", false},
		{"apis", "v1.", true},
		{"apis", "v2.noderestriction.plus", true},
		{"apis", "v1beta1.metrics.k8s.io", false},
		{"namespace", "security", true},
		{"namespace", "default", false},
	} {
		old := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": test.name}}}
		for _, u := range []*user.DefaultInfo{admin(), {Name: "breaker", Groups: []string{compile.DefaultGuardGroup}}} {
			w := guardWrite{user: u, operation: admission.Delete, old: old}
			want := test.kept && u.Name == "admin"
			if denials, matched := w.evaluate(t, parts[test.part]); matched != want || (len(denials) > 0) != want {
				t.Errorf("%s: %s deletes %s: matched is %v, denied is %v", test.part, u.Name, test.name, matched, denials)
			}
		}
	}
}
