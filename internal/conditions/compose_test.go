// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy/rules"
)

// inForce returns a policy, given its name, its action and the rest of its spec.
func inForce(t *testing.T, name string, action v1alpha1.ValidationAction, spec string) Policy {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Name = name
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{action}
	compiled, errs := rules.NewCompiler().Compile(p)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return Policy{Name: name, Denies: compiled.Action() == v1alpha1.Deny, Rules: compiled.Rules(), Spec: &p.Spec}
}

func composeAll(t *testing.T, policies ...Policy) *Composed {
	t.Helper()
	base, err := parseBase([]byte(someBase))
	if err != nil {
		t.Fatal(err)
	}
	return Compose(base, policies, rules.NewCompiler().Rules())
}

// expressionOf returns the expression of a condition of a webhook.
func expressionOf(t *testing.T, c *Composed, webhook, name string) string {
	t.Helper()
	list := c.Webhooks[webhook]
	at := slices.IndexFunc(list, func(m admissionregistrationv1.MatchCondition) bool { return m.Name == name })
	if at < 0 {
		t.Fatalf("%s has no condition %s: %v", webhook, name, list)
	}
	return list[at].Expression
}

// manyPatterns are patterns that need a regular expression each.
func manyPatterns(n int) string {
	patterns := make([]string, n)
	for i := range patterns {
		patterns[i] = fmt.Sprintf(`"registry-%d*.example.com/*/team-%d-*/*"`, i, i)
	}
	return strings.Join(patterns, ", ")
}

func TestCompose(t *testing.T) {
	const finalizers = `nodes: {finalizers: {allowed: ["example.com/mine"]}}`
	denies, audits := inForce(t, "denies", v1alpha1.Deny, finalizers), inForce(t, "audits", v1alpha1.Audit, finalizers)

	none := composeAll(t)
	if e := expressionOf(t, none, gate, line); !strings.Contains(e, "base.gate") {
		t.Errorf("without a policy the gate is %s", e)
	}
	if e := expressionOf(t, none, status, line); !strings.Contains(e, "== 'UPDATE' ? (false)") {
		t.Errorf("without a policy, something is sent to status: %s", e)
	}
	if v := none.Floor.Validations; len(v) != 1 || v[0].Expression != "true" {
		t.Errorf("without a policy, the floor is %v", v)
	}

	denied := composeAll(t, denies)
	for webhook, want := range map[string]string{gate: "base.gate || ", status: "base.status && "} {
		if e := expressionOf(t, denied, webhook, line); !strings.HasPrefix(e, want) || !strings.Contains(e, "example.com/mine") {
			t.Errorf("of a policy that denies, %s has %s", webhook, e)
		}
	}
	if e := expressionOf(t, denied, gate, "kubelet"); e != "isKubelet" {
		t.Errorf("another condition is changed: %s", e)
	}
	if v := denied.Floor.Validations; len(v) != 1 || v[0].Message != `violates NodeRestrictionPolicy "denies": node finalizers` {
		t.Errorf("the floor is %v", v)
	}

	audited := composeAll(t, audits)
	if e := expressionOf(t, audited, gate, line); e != expressionOf(t, none, gate, line) {
		t.Errorf("a policy that only records changes the gate: %s", e)
	}
	for _, webhook := range []string{status, registration} {
		if e := expressionOf(t, audited, webhook, line); !strings.Contains(e, "example.com/mine") {
			t.Errorf("what a policy that only records is about is not sent to %s: %s", webhook, e)
		}
	}
	if !reflect.DeepEqual(audited.Floor, none.Floor) {
		t.Errorf("a policy that only records changes the floor: %v", audited.Floor)
	}
	if !reflect.DeepEqual(composeAll(t, denies, audits), composeAll(t, denies, audits)) {
		t.Error("the same policies make different conditions")
	}
}

func TestFindings(t *testing.T) {
	const selector = `match: {nodeSelector: {matchLabels: {pool: a}}}, `
	for name, test := range map[string]struct {
		action                 v1alpha1.ValidationAction
		spec                   string
		reason, message        string
		inexpressible, refused int
	}{
		"everything is gated":         {v1alpha1.Deny, `{nodes: {finalizers: {}}}`, Complete, "also refused", 0, 0},
		"it only records":             {v1alpha1.Audit, `{nodes: {finalizers: {}}}`, NotDenying, "denies nothing", 0, 0},
		"CEL cannot express a rule":   {v1alpha1.Deny, `{nodes: {finalizers: {}, unknownFields: {}}}`, Partial, "node-unknown-fields (", 1, 0},
		"CEL can express no rule":     {v1alpha1.Deny, `{nodes: {unknownFields: {}}}`, Refused, "node-unknown-fields (", 1, 0},
		"it selects Nodes by label":   {v1alpha1.Deny, `{` + selector + `nodes: {finalizers: {}}}`, Partial, "carries its labels", 1, 0},
		"it selects pods by label":    {v1alpha1.Deny, `{` + selector + `pods: {phase: {}}}`, Refused, "pod-phase (", 1, 0},
		"its writes must not fail":    {v1alpha1.Deny, `{serviceAccountTokens: {}}`, Refused, "must not fail", 1, 0},
		"its writes are not sent":     {v1alpha1.Deny, `{pods: {eviction: {}}}`, Refused, "values do not send", 1, 0},
		"its lists are too expensive": {v1alpha1.Deny, `{nodes: {images: {maxCount: 9, allowedRepositories: [` + manyPatterns(60) + `]}}}`, Refused, "node-images (", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := composeAll(t, inForce(t, "p", test.action, test.spec))
			f := c.Findings["p"]
			if f.Reason != test.reason || !strings.Contains(f.Message, test.message) || len(f.Message) > 2000 {
				t.Errorf("the finding is %+v", f)
			}
			if c.Inexpressible != test.inexpressible || c.Refused != test.refused {
				t.Errorf("%d rules are inexpressible, %d refused", c.Inexpressible, c.Refused)
			}
		})
	}
}

// TestTooLarge has so many policies that their conditions do not fit.
func TestTooLarge(t *testing.T) {
	small := inForce(t, "small", v1alpha1.Deny, `nodes: {finalizers: {}}`)
	policies := []Policy{small}
	for i := range 40 {
		long := strings.Repeat("x", 200)
		var allowed []string
		for n := range 60 {
			allowed = append(allowed, fmt.Sprintf(`"example.com/%s-%d-%d"`, long, i, n))
		}
		policies = append(policies, inForce(t, fmt.Sprintf("large-%02d", i), v1alpha1.Deny, `nodes: {finalizers: {allowed: [`+strings.Join(allowed, ", ")+`]}}`))
	}
	c := composeAll(t, policies...)
	for _, webhook := range []string{gate, status, registration} {
		if e := expressionOf(t, c, webhook, line); len(e) > 3*maxText {
			t.Errorf("the condition of %s has %d bytes", webhook, len(e))
		}
	}
	refused := 0
	for i := range policies {
		if f := c.Findings[policies[i].Name]; f.Reason == Refused && strings.Contains(f.Message, tooMuch) {
			refused++
		}
	}
	if c.Findings["small"].Reason != Complete || refused == 0 || refused > c.Refused {
		t.Errorf("%d policies are refused, %d rules counted; the small one is %+v", refused, c.Refused, c.Findings["small"])
	}
	if e := expressionOf(t, c, status, line); !strings.Contains(e, "object.?metadata.?finalizers != oldObject.?metadata.?finalizers") {
		t.Errorf("what does not fit is not sent: %.300s", e)
	}
}
