package charts_test

import (
	"encoding/json"
	"slices"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
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
}

type calledWebhook struct {
	*admissionregistrationv1.ValidatingWebhook
	matcher matchconditions.Matcher
}

func newCaller(t testing.TB, arguments ...string) *caller {
	t.Helper()
	environments := environment.MustBaseEnvSet(oldestKubernetes)
	options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	c := &caller{t: t}
	for _, w := range render(t, arguments...).webhooks.Webhooks {
		var conditions []cel.ExpressionAccessor
		for _, condition := range w.MatchConditions {
			accessor := (*matchconditions.MatchCondition)(&condition)
			conditions = append(conditions, accessor)
			result := cel.NewCompiler(environments).CompileCELExpression(accessor, options, environment.NewExpressions)
			if result.Error != nil {
				t.Fatalf("%s: %s: %v", w.Name, condition.Name, result.Error)
			}
		}
		evaluator := cel.NewConditionCompiler(environments).CompileCondition(conditions, options, environment.StoredExpressions)
		// With the failure policy Fail an error in a condition is told from a condition that is false.
		matcher := matchconditions.NewMatcher(evaluator, new(admissionregistrationv1.Fail), "webhook", "validating", w.Name)
		c.webhooks = append(c.webhooks, calledWebhook{&w, matcher})
	}
	return c
}

// calls returns the names of the webhooks that are called, sorted, and of those whose conditions end in an error.
func (c *caller) calls(userName string, r policy.Request) (called, failed []string) {
	return c.match(c.attributes(userName, r))
}

func (c *caller) match(attributes *admission.VersionedAttributes) (called, failed []string) {
	for _, w := range c.webhooks {
		if !slices.ContainsFunc(w.Rules, func(rule admissionregistrationv1.RuleWithOperations) bool {
			matcher := rules.Matcher{Rule: rule, Attr: attributes}
			return matcher.Matches()
		}) {
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

// attributes are the write as the API server sees it: its objects have passed through the types.
func (c *caller) attributes(userName string, r policy.Request) *admission.VersionedAttributes {
	kind, empty := corev1.SchemeGroupVersion.WithKind("Node"), func() runtime.Object { return &corev1.Node{} }
	if r.Resource == "pods" {
		kind, empty = corev1.SchemeGroupVersion.WithKind("Pod"), func() runtime.Object { return &corev1.Pod{} }
	}
	object, old := c.typed(r.Object, kind, empty()), c.typed(r.OldObject, kind, empty())
	caller := &user.DefaultInfo{Name: userName, Groups: []string{"system:nodes", "system:authenticated"}}
	resource := corev1.SchemeGroupVersion.WithResource(r.Resource)
	a := &admission.VersionedAttributes{
		Attributes: admission.NewAttributesRecord(object, old, kind, r.Namespace, r.Name, resource, r.Subresource,
			admission.Operation(r.Operation), nil, r.DryRun, caller),
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

func (c *caller) typed(raw []byte, kind schema.GroupVersionKind, into runtime.Object) runtime.Object {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		c.t.Fatal(err)
	}
	into.GetObjectKind().SetGroupVersionKind(kind)
	return into
}
