// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	allrules "noderestriction.plus/policy/rules"
)

// enforced is a compiled policy for one kind of write, as an API server evaluates it.
type enforced struct {
	compile.Kind
	validator validating.Validator
	// evaluators of all validations, all messages and all audit annotations, to measure what they cost.
	evaluators []cel.ConditionEvaluator
	compiler   *cel.CompositedCompiler
}

// newEnforced compiles a policy as the plugin ValidatingAdmissionPolicy of the oldest supported API server does. It returns the errors that
// an API server would return to the client that creates it.
func newEnforced(kind compile.Kind) (*enforced, []error) {
	p := kind.Policy
	var errs []error
	compiler, err := cel.NewCompositedCompiler(oldEnvironment())
	if err != nil {
		return nil, []error{err}
	}
	options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	check := func(result cel.CompilationResult) {
		if result.Error != nil {
			errs = append(errs, result.Error)
		}
	}
	for _, v := range p.Spec.Variables {
		check(compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, options, environment.NewExpressions))
	}
	var validations, messages, annotations, conditions []cel.ExpressionAccessor
	for _, v := range p.Spec.Validations {
		validations = append(validations, &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason})
		if v.MessageExpression == "" {
			messages = append(messages, nil)
			continue
		}
		messages = append(messages, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression})
	}
	for _, a := range p.Spec.AuditAnnotations {
		annotations = append(annotations, &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression})
	}
	for i := range p.Spec.MatchConditions {
		conditions = append(conditions, (*matchconditions.MatchCondition)(&p.Spec.MatchConditions[i]))
	}
	for _, e := range slices.Concat(validations, messages, annotations, conditions) {
		if e != nil {
			check(compiler.CompileCELExpression(e, options, environment.NewExpressions))
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	condition := func(list []cel.ExpressionAccessor) cel.ConditionEvaluator {
		return compiler.CompileCondition(list, options, environment.StoredExpressions)
	}
	matcher := matchconditions.NewMatcher(condition(conditions), p.Spec.FailurePolicy, "policy", "validate", p.Name)
	e := &enforced{
		Kind: kind, compiler: compiler,
		evaluators: []cel.ConditionEvaluator{condition(validations), condition(messages), condition(annotations)},
	}
	e.validator = validating.NewValidator(e.evaluators[0], matcher, e.evaluators[2], e.evaluators[1], p.Spec.FailurePolicy, nil)
	return e, nil
}

// oldEnvironment has the functions of the oldest supported API server.
var oldEnvironment = sync.OnceValue(func() *environment.EnvSet { return environment.MustBaseEnvSet(oldestKubernetes) })

func isFor(kind compile.Kind, attributes *admission.VersionedAttributes) bool {
	return slices.ContainsFunc(kind.Policy.Spec.MatchConstraints.ResourceRules, func(rule admissionregistrationv1.NamedRuleWithOperations) bool {
		matcher := rules.Matcher{Rule: rule.RuleWithOperations, Attr: attributes}
		return matcher.Matches()
	})
}

// violated returns the rules whose expressions deny the write. An error is false, and what it says.
func (e *enforced) violated(t testing.TB, attributes *admission.VersionedAttributes) (map[policy.RuleID]string, string) {
	t.Helper()
	result := e.validator.Validate(t.Context(), attributes.GetResource(), attributes, nil, nil, celconfig.RuntimeCELCostBudget, nil)
	violated := map[policy.RuleID]string{}
	for i, d := range result.Decisions {
		switch {
		case d.Evaluation == validating.EvalError:
			if len(result.Decisions) == len(e.Rules) {
				return nil, string(e.Rules[i]) + ": " + d.Message
			}
			return nil, d.Message
		case d.Action == validating.ActionDeny && d.Reason != metav1.StatusReasonForbidden:
			return nil, "a kubelet does not live with the reason " + string(d.Reason)
		case d.Action == validating.ActionDeny:
			violated[e.Rules[i]] = d.Message
		}
	}
	published := ""
	for _, a := range result.AuditAnnotations {
		if a.Error != "" {
			return nil, a.Key + ": " + a.Error
		}
		if a.Key == "rule" {
			published = a.Value
		}
	}
	var ids []string
	for _, id := range slices.Compact(slices.Clone(e.Rules)) {
		if _, is := violated[id]; is {
			ids = append(ids, string(id))
		}
	}
	if result.Decisions != nil && published != strings.Join(ids, ",") {
		return nil, "the audit annotation rule is " + published
	}
	return violated, ""
}

// compileFor compiles the policies of a fixture for its write.
func compileFor(t testing.TB, policies []*v1alpha1.NodeRestrictionPolicy) []compile.Kind {
	t.Helper()
	var kinds []compile.Kind
	for _, p := range policies {
		compiled, err := compile.Compile(p, rulesOf(t, p), compile.Options{Partial: compile.Narrower})
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, compiled.Kinds...)
	}
	return kinds
}

// evaluated is a policy as the engine evaluates it.
type evaluated struct {
	compiled *policy.Policy
	rules    []policy.Rule
}

// evaluatedPolicies are compiled for the engine, by pointer.
var evaluatedPolicies sync.Map

func evaluatedBy(t testing.TB, p *v1alpha1.NodeRestrictionPolicy) *evaluated {
	t.Helper()
	if known, ok := evaluatedPolicies.Load(p); ok {
		return known.(*evaluated)
	}
	compiled, errs := allrules.NewCompiler().Compile(p)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	on := compiled.Rules()
	j := &evaluated{compiled, slices.DeleteFunc(allrules.All(), func(r policy.Rule) bool { return !slices.Contains(on, r.ID) })}
	evaluatedPolicies.Store(p, j)
	return j
}

// expressibleRules returns the rules that evaluate writes by kubelets and that CEL expresses, at least in part.
func expressibleRules() []policy.Rule {
	return slices.DeleteFunc(allrules.All(), func(r policy.Rule) bool { return !r.ForKubelets() || r.CEL.Kind == policy.NotAtAll })
}

// rulesOf returns the rules that a policy turns on.
func rulesOf(t testing.TB, p *v1alpha1.NodeRestrictionPolicy) []policy.Rule {
	return evaluatedBy(t, p).rules
}

// asStored passes the objects of a write through their types, as an API server does, and returns false for what it does not read.
func asStored(r policy.Request) (policy.Request, bool) {
	_, empty := kindOf(r)
	for _, object := range []*[]byte{&r.Object, &r.OldObject} {
		if len(*object) == 0 {
			continue
		}
		typed := empty()
		if err := json.Unmarshal(*object, typed); err != nil {
			return r, false
		}
		tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
		if err != nil {
			return r, false
		}
		if metadata, ok := tree["metadata"].(map[string]any); ok && metadata["creationTimestamp"] == nil {
			delete(metadata, "creationTimestamp")
		}
		*object, err = json.Marshal(tree)
		if err != nil {
			return r, false
		}
	}
	return r, true
}

// attributesOf are the attributes of a write with its options.
func (c *caller) attributesOf(r policy.Request) *admission.VersionedAttributes {
	var options runtime.Object
	if len(r.Options) > 0 && r.Operation == admissionv1.Delete {
		deletion := &metav1.DeleteOptions{}
		if err := json.Unmarshal(r.Options, deletion); err != nil {
			c.t.Fatal(err)
		}
		options = deletion
	}
	if !r.Subject.IsKubelet() {
		return c.attributesWith(r.User.Username, r, options)
	}
	return c.attributesWith(expression.UserPrefix+r.NodeName, r, options)
}

// eachFixture calls a function with each fixture that an API server would let through to admission.
func eachFixture(t *testing.T, do func(t *testing.T, name string, f *fixture.Fixture, r policy.Request)) {
	t.Helper()
	paths, err := filepath.Glob("../policy/rules/testdata/*/*/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no fixtures", err)
	}
	read := 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := fixture.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		r, ok := asStored(f.Request)
		if !ok || len(f.Policies) == 0 || !r.Subject.IsKubelet() {
			continue
		}
		read++
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(path), "../policy/rules/testdata/"), ".txtar")
		t.Run(name, func(t *testing.T) { do(t, name, f, r) })
	}
	if read < len(paths)*9/10 {
		t.Errorf("only %d of %d fixtures have been read", read, len(paths))
	}
}

// verdicts are the rules that a write violates, as the webhook and as the API server see it.
type verdicts struct {
	webhook map[policy.RuleID]bool
	server  map[policy.RuleID]string
}

// disagreement returns the rules on which the API server and the webhook disagree more than the rules themselves say.
func (v verdicts) disagreement(t testing.TB, policies []*v1alpha1.NodeRestrictionPolicy, r policy.Request) []string {
	t.Helper()
	scope := &expression.Scope{Resource: r.Resource, Subresource: r.Subresource, Operation: string(r.Operation)}
	var differ []string
	for _, p := range policies {
		for _, rule := range rulesOf(t, p) {
			if !slices.ContainsFunc(rule.Targets, func(target policy.Target) bool { return target.Matches(&r) }) {
				continue
			}
			_, denies := v.server[rule.ID]
			switch how := rule.CEL.Under(&p.Spec, scope); {
			case v.webhook[rule.ID] == denies, how == policy.NotAtAll && !denies, how == policy.Narrower && !denies, how == policy.Wider && denies:
			default:
				differ = append(differ, string(rule.ID))
			}
		}
	}
	return differ
}

// byEngine evaluates a write by the engine.
func byEngine(t testing.TB, policies []*v1alpha1.NodeRestrictionPolicy, r policy.Request) (rules map[policy.RuleID]bool, verified bool) {
	t.Helper()
	var compiled []*policy.Policy
	for _, p := range policies {
		compiled = append(compiled, evaluatedBy(t, p).compiled)
	}
	rules = map[policy.RuleID]bool{}
	for _, v := range policy.NewSet(compiled...).Evaluate(&r).Violations {
		rules[v.Rule] = true
	}
	return rules, !rules[policy.Unverified]
}

// TestServerSaysWhatTheRulesSay holds what is compiled to the fixtures of every rule.
func TestServerSaysWhatTheRulesSay(t *testing.T) {
	seen := map[policy.RuleID]int{}
	eachFixture(t, func(t *testing.T, _ string, f *fixture.Fixture, r policy.Request) {
		webhook, verified := byEngine(t, f.Policies, r)
		if !verified || slices.ContainsFunc(f.Policies, func(p *v1alpha1.NodeRestrictionPolicy) bool {
			return p.Spec.Match != nil && p.Spec.Match.NodeSelector != nil
		}) {
			return
		}
		var policies []*enforced
		for _, kind := range compileFor(t, f.Policies) {
			if attributes := (&caller{t: t}).attributesOf(r); !isFor(kind, attributes) {
				continue
			}
			e, errs := newEnforced(kind)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			policies = append(policies, e)
		}
		for _, unstructured := range []bool{false, true} {
			v := verdicts{webhook, map[policy.RuleID]string{}}
			attributes := (&caller{t: t, unstructured: unstructured}).attributesOf(r)
			for _, e := range policies {
				violated, failure := e.violated(t, attributes)
				if failure != "" {
					t.Fatalf("unstructured %v: %s", unstructured, failure)
				}
				maps.Copy(v.server, violated)
			}
			if differ := v.disagreement(t, f.Policies, r); differ != nil {
				t.Errorf("unstructured %v: they disagree on %v: the webhook says %v, the API server %v",
					unstructured, differ, slices.Sorted(maps.Keys(webhook)), v.server)
			}
			for id := range v.server {
				seen[id]++
			}
		}
	})
	for _, rule := range expressibleRules() {
		if seen[rule.ID] == 0 {
			t.Errorf("no fixture is denied for rule %s", rule.ID)
		}
	}
}

// TestCompiledPolicyIsForItsNodes compares the match of a compiled policy with the engine's.
func TestCompiledPolicyIsForItsNodes(t *testing.T) {
	for name, test := range map[string]struct {
		match   v1alpha1.Match
		partial compile.Partial
		labels  map[string]string
		user    string
		want    bool
	}{
		"a named node":             {match: v1alpha1.Match{NodeNames: []v1alpha1.Pattern{"worker-*"}}, want: true},
		"another node":             {match: v1alpha1.Match{NodeNames: []v1alpha1.Pattern{"gpu-*", "worker-2"}}},
		"an excluded node":         {match: v1alpha1.Match{ExcludeNodeNames: []v1alpha1.Pattern{"worker-1"}}},
		"an administrator":         {user: "worker-1"},
		"a selected node":          {match: selecting("a"), labels: map[string]string{"pool": "a"}, partial: compile.Narrower, want: true},
		"a node not selected":      {match: selecting("a"), labels: map[string]string{"pool": "b"}, partial: compile.Narrower},
		"a node without the label": {match: selecting("a"), partial: compile.Wider},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "test"}, Spec: v1alpha1.NodeRestrictionPolicySpec{
				ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Match: &test.match,
				Nodes: v1alpha1.NodeRules{Finalizers: &v1alpha1.NodeFinalizers{}},
			}}
			compiled, err := compile.Compile(p, rulesOf(t, p), compile.Options{Partial: test.partial})
			if err != nil {
				t.Fatal(err)
			}
			node := metav1.ObjectMeta{Name: "worker-1", Labels: test.labels}
			old := mustMarshal(&corev1.Node{ObjectMeta: node})
			node.Finalizers = []string{"example.com/a"}
			attributes := (&caller{t: t}).attributes(cmp.Or(test.user, kubelet), policy.Request{Write: policy.Write{
				Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "worker-1",
				OldObject: old, Object: mustMarshal(&corev1.Node{ObjectMeta: node}),
			}})
			denied := false
			for _, kind := range compiled.Kinds {
				if isFor(kind, attributes) {
					e, errs := newEnforced(kind)
					if len(errs) > 0 {
						t.Fatal(errs)
					}
					violated, failure := e.violated(t, attributes)
					if failure != "" {
						t.Fatal(failure)
					}
					denied = denied || len(violated) > 0
				}
			}
			if denied != test.want {
				t.Errorf("denied: %v, want %v", denied, test.want)
			}
		})
	}
}

func selecting(pool string) v1alpha1.Match {
	return v1alpha1.Match{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"pool": pool}}}
}

// installed returns the policies that the chart installs, and each webhook as a policy that denies what is sent to it.
func installed(t *testing.T) []compile.Kind {
	t.Helper()
	r := render(t, append(everything(), "--set", "webhook.url=https://127.0.0.1:9443")...)
	var kinds []compile.Kind
	for _, object := range r.objects {
		if p, is := object.(*admissionregistrationv1.ValidatingAdmissionPolicy); is {
			kinds = append(kinds, compile.Kind{Policy: p})
		}
	}
	for i := range r.webhooks.Webhooks {
		w := &r.webhooks.Webhooks[i]
		p := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: w.Name}}
		p.Spec.FailurePolicy, p.Spec.MatchConditions = new(admissionregistrationv1.Fail), w.MatchConditions
		p.Spec.Validations = []admissionregistrationv1.Validation{{Expression: "false", Message: "it is sent"}}
		p.Spec.MatchConstraints = &admissionregistrationv1.MatchResources{}
		for _, rule := range w.Rules {
			p.Spec.MatchConstraints.ResourceRules = append(p.Spec.MatchConstraints.ResourceRules,
				admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: rule})
		}
		kinds = append(kinds, compile.Kind{Policy: p})
	}
	return kinds
}
