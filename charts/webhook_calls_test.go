// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	resourcev1beta1 "k8s.io/api/resource/v1beta1"
	resourcev1beta2 "k8s.io/api/resource/v1beta2"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"

	"noderestriction.plus/policy"
)

// oldestKubernetes is the first release that must compile the match conditions; see kubeVersion in Chart.yaml.
var oldestKubernetes = version.MajorMinor(1, 31)

// caller tells which webhooks an API server would call for a write, with the code by which it decides that.
type caller struct {
	t        testing.TB
	webhooks []calledWebhook
	// unstructured has the conditions see objects as older API servers show them, and with fields that the types do not have.
	unstructured bool
}

type calledWebhook struct {
	*admissionregistrationv1.ValidatingWebhook
	evaluator cel.ConditionEvaluator
	matcher   matchconditions.Matcher
}

func newCaller(t testing.TB, arguments ...string) *caller {
	t.Helper()
	return newCallerOf(t, render(t, arguments...).webhooks.Webhooks)
}

func newCallerOf(t testing.TB, webhooks []admissionregistrationv1.ValidatingWebhook) *caller {
	t.Helper()
	c := &caller{t: t}
	for _, w := range webhooks {
		var evaluator conditions
		for i := range w.MatchConditions {
			evaluator = append(evaluator, compiledCondition(&w.MatchConditions[i]))
		}
		if errs := evaluator.CompilationErrors(); len(errs) > 0 {
			t.Fatalf("%s: %v", w.Name, errors.Join(errs...))
		}
		// With failurePolicy Fail, an error in a condition is reported as an error, not as false.
		matcher := matchconditions.NewMatcher(evaluator, new(admissionregistrationv1.Fail), "webhook", "validating", w.Name)
		c.webhooks = append(c.webhooks, calledWebhook{&w, evaluator, matcher})
	}
	return c
}

// compiledMatchConditions has each match condition that was compiled, by its name and text.
var compiledMatchConditions sync.Map

// compiledCondition compiles a condition as an API server does when it is created: stored ones are evaluated with more functions.
func compiledCondition(m *admissionregistrationv1.MatchCondition) cel.ConditionEvaluator {
	if known, ok := compiledMatchConditions.Load(*m); ok {
		return known.(cel.ConditionEvaluator)
	}
	evaluator := cel.NewConditionCompiler(oldEnvironment()).CompileCondition(
		[]cel.ExpressionAccessor{(*matchconditions.MatchCondition)(m)}, cel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.NewExpressions)
	compiledMatchConditions.Store(*m, evaluator)
	return evaluator
}

// conditions are those of a webhook. They share one budget, as in an API server.
type conditions []cel.ConditionEvaluator

func (cs conditions) ForInput(
	ctx context.Context, attributes *admission.VersionedAttributes, request *admissionv1.AdmissionRequest,
	inputs cel.OptionalVariableBindings, namespace *corev1.Namespace, budget int64,
) ([]cel.EvaluationResult, int64, error) {
	var all []cel.EvaluationResult
	for _, c := range cs {
		results, left, err := c.ForInput(ctx, attributes, request, inputs, namespace, budget)
		if err != nil {
			return nil, left, err
		}
		all, budget = append(all, results...), left
	}
	return all, budget, nil
}

func (cs conditions) CompilationErrors() []error {
	var errs []error
	for _, c := range cs {
		errs = append(errs, c.CompilationErrors()...)
	}
	return errs
}

// calls returns the names of the webhooks that are called, sorted, and of those whose conditions end in an error.
func (c *caller) calls(userName string, r policy.Request) (called, failed []string) {
	return c.match(c.attributes(userName, r))
}

func (c *caller) match(attributes *admission.VersionedAttributes) (called, failed []string) {
	for _, w := range c.webhooks {
		if !w.looksAt(attributes) {
			continue
		}
		switch result := w.matcher.Match(c.t.Context(), attributes, nil, nil); {
		case result.Error != nil:
			failed = append(failed, w.Name)
		case result.Matches:
			called = append(called, w.Name)
		}
	}
	return called, failed
}

// looksAt tells whether the write is one of the webhook's rules.
func (w *calledWebhook) looksAt(attributes *admission.VersionedAttributes) bool {
	return slices.ContainsFunc(w.Rules, func(rule admissionregistrationv1.RuleWithOperations) bool {
		matcher := rules.Matcher{Rule: rule, Attr: attributes}
		return matcher.Matches()
	})
}

// attributes are the write as the API server sees it: its objects have passed through the types.
func (c *caller) attributes(userName string, r policy.Request) *admission.VersionedAttributes {
	return c.attributesWith(userName, r, nil)
}

// attributesWith is attributes of a request with options, such as those of a patch.
func (c *caller) attributesWith(userName string, r policy.Request, options runtime.Object) *admission.VersionedAttributes {
	name, group, _ := strings.Cut(r.Resource, ".")
	kind, empty := kindOf(r)
	kind.Version = cmp.Or(r.Version, kind.Version)
	if c.unstructured {
		empty = func() runtime.Object { return &unstructured.Unstructured{} }
	}
	object, old := c.typed(r.Object, kind, empty()), c.typed(r.OldObject, kind, empty())
	caller := &user.DefaultInfo{Name: userName, Groups: []string{"system:nodes", "system:authenticated"}}
	if r.User.Groups != nil {
		caller.Groups = r.User.Groups
	}
	for key, values := range r.User.Extra {
		if caller.Extra == nil {
			caller.Extra = map[string][]string{}
		}
		caller.Extra[key] = values
	}
	resource := schema.GroupVersionResource{Group: group, Version: kind.Version, Resource: name}
	a := &admission.VersionedAttributes{
		Attributes: admission.NewAttributesRecord(object, old, kind, r.Namespace, r.Name, resource, r.Subresource,
			admission.Operation(r.Operation), options, r.DryRun, caller),
		VersionedKind: kind,
	}
	if object != nil {
		a.VersionedObject.Set(object)
	}
	if old != nil {
		a.VersionedOldObject.Set(old)
	}
	return a
}

// emptySlice returns a ResourceSlice of a version; empty is v1.
func emptySlice(version string) runtime.Object {
	switch version {
	case "v1beta1":
		return &resourcev1beta1.ResourceSlice{}
	case "v1beta2":
		return &resourcev1beta2.ResourceSlice{}
	}
	return &resourcev1.ResourceSlice{}
}

func (c *caller) typed(raw []byte, kind schema.GroupVersionKind, into runtime.Object) runtime.Object {
	if len(raw) == 0 {
		return nil
	}
	if u, ok := into.(*unstructured.Unstructured); ok {
		if err := json.Unmarshal(raw, &u.Object); err != nil {
			c.t.Fatal(err)
		}
	} else if err := json.Unmarshal(raw, into); err != nil {
		c.t.Fatal(err)
	}
	into.GetObjectKind().SetGroupVersionKind(kind)
	return into
}

// kindOf is the kind of the object in a write, and how to make an empty one. What is not known has the kind of a Node.
func kindOf(r policy.Request) (schema.GroupVersionKind, func() runtime.Object) {
	switch strings.TrimSuffix(r.Resource+"/"+r.Subresource, "/") {
	case "pods/eviction":
		return policyv1.SchemeGroupVersion.WithKind("Eviction"), func() runtime.Object { return &policyv1.Eviction{} }
	case "serviceaccounts/token":
		return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"), func() runtime.Object { return &authenticationv1.TokenRequest{} }
	}
	name, _, _ := strings.Cut(r.Resource, ".")
	switch name {
	case "pods":
		return corev1.SchemeGroupVersion.WithKind("Pod"), func() runtime.Object { return &corev1.Pod{} }
	case "persistentvolumeclaims":
		return corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"), func() runtime.Object { return &corev1.PersistentVolumeClaim{} }
	case "resourceslices":
		return resourcev1.SchemeGroupVersion.WithKind("ResourceSlice"), func() runtime.Object { return emptySlice(r.Version) }
	case "csinodes":
		return storagev1.SchemeGroupVersion.WithKind("CSINode"), func() runtime.Object { return &storagev1.CSINode{} }
	case "leases":
		return coordinationv1.SchemeGroupVersion.WithKind("Lease"), func() runtime.Object { return &coordinationv1.Lease{} }
	case "events":
		if r.Resource == name {
			return corev1.SchemeGroupVersion.WithKind("Event"), func() runtime.Object { return &corev1.Event{} }
		}
		return eventsv1.SchemeGroupVersion.WithKind("Event"), func() runtime.Object { return &eventsv1.Event{} }
	case "certificatesigningrequests":
		return certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"),
			func() runtime.Object { return &certificatesv1.CertificateSigningRequest{} }
	case "podcertificaterequests":
		return certificatesv1.SchemeGroupVersion.WithKind("PodCertificateRequest"),
			func() runtime.Object { return &certificatesv1.PodCertificateRequest{} }
	}
	return corev1.SchemeGroupVersion.WithKind("Node"), func() runtime.Object { return &corev1.Node{} }
}
