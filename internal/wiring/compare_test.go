// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type (
	webhook = admissionregistrationv1.ValidatingWebhook
	rule    = admissionregistrationv1.RuleWithOperations
)

const condition = "request.userInfo.username.startsWith('system:node:')"

// rules are those of the webhooks that tests compare.
func rules(scope admissionregistrationv1.ScopeType, resources ...string) []rule {
	return []rule{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule: admissionregistrationv1.Rule{
			APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: resources, Scope: new(scope),
		},
	}}
}

// rendered returns webhooks as the chart renders them: one for objects in namespaces, one for objects without.
func rendered() []webhook {
	base := webhook{
		Name: "gate.noderestriction.plus", FailurePolicy: new(admissionregistrationv1.Fail), TimeoutSeconds: new(int32(2)),
		MatchPolicy: new(admissionregistrationv1.Equivalent), SideEffects: new(admissionregistrationv1.SideEffectClassNoneOnDryRun),
		AdmissionReviewVersions: []string{"v1"},
		ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
			Namespace: "security", Name: "node-restriction-plus", Port: new(int32(443)), Path: new("/admit"),
		}},
		Rules:           rules(admissionregistrationv1.NamespacedScope, "pods", "pods/status"),
		MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "kubelet", Expression: condition}},
	}
	nodes := *base.DeepCopy()
	nodes.Name, nodes.Rules = "registration.noderestriction.plus", rules(admissionregistrationv1.ClusterScope, "nodes")
	none := *base.DeepCopy()
	none.Name, none.Rules = "others.noderestriction.plus", nil
	return []webhook{base, nodes, none}
}

// annotated returns webhooks as the annotation has them.
func annotated(webhooks []webhook) []webhook {
	for i := range webhooks {
		webhooks[i].ClientConfig.CABundle = nil
		for k := range webhooks[i].MatchConditions {
			webhooks[i].MatchConditions[k].Expression = Digest(webhooks[i].MatchConditions[k].Expression)
		}
	}
	return webhooks
}

// aks is the selector that the admissions enforcer of AKS adds.
func aks() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "control-plane", Operator: metav1.LabelSelectorOpDoesNotExist},
		{Key: "kubernetes.azure.com/managedby", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"aks"}},
	}}
}

// TestCompareWebhooks rewrites webhooks as platforms, administrators and the API server do.
func TestCompareWebhooks(t *testing.T) {
	const gate = `webhook "gate.noderestriction.plus" `
	for name, test := range map[string]struct {
		rewrite func(w []webhook) []webhook
		part    string // empty: no difference
		weaker  bool
		text    string
	}{
		"nothing is changed": {rewrite: func(w []webhook) []webhook { return w }},
		"the API server sets its defaults": {rewrite: func(w []webhook) []webhook {
			for i := range w {
				w[i].NamespaceSelector, w[i].ObjectSelector = &metav1.LabelSelector{}, &metav1.LabelSelector{}
			}
			return w
		}},
		"cainjector writes the CA":        {rewrite: func(w []webhook) []webhook { w[0].ClientConfig.CABundle = []byte("ca"); return w }},
		"the webhooks have another order": {rewrite: func(w []webhook) []webhook { slices.Reverse(w); return w }},
		"a rule is written as two": {rewrite: func(w []webhook) []webhook {
			w[0].Rules = slices.Concat(rules(admissionregistrationv1.NamespacedScope, "pods/status"), rules(admissionregistrationv1.NamespacedScope, "pods"))
			return w
		}},
		"AKS excludes its namespaces": {
			func(w []webhook) []webhook { w[0].NamespaceSelector = aks(); return w }, "gate", true,
			gate + `does not send writes in namespaces excluded by namespaceSelector "!control-plane,kubernetes.azure.com/managedby notin (aks)"`,
		},
		"a namespace selector has no effect on Nodes": {rewrite: func(w []webhook) []webhook {
			w[1].NamespaceSelector, w[2].NamespaceSelector = aks(), aks()
			return w
		}},
		"Gardener excludes its pods": {
			func(w []webhook) []webhook {
				w[0].ObjectSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: "origin", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"gardener"}},
				}}
				return w
			}, "gate", true, gate + `does not send writes of objects excluded by objectSelector "origin notin (gardener)"`,
		},
		"Gardener lets writes pass": {
			func(w []webhook) []webhook { w[1].FailurePolicy = new(admissionregistrationv1.Ignore); return w }, "registration", true,
			`webhook "registration.noderestriction.plus" lets writes pass that it cannot evaluate: failurePolicy is "Ignore", not Fail`,
		},
		"a webhook is missing": {
			func(w []webhook) []webhook { return w[1:] }, "gate", true, gate + "is missing, so its writes are not sent",
		},
		"a webhook without rules is missing": {
			func(w []webhook) []webhook { return w[:2] }, "others", false, `webhook "others.noderestriction.plus" is missing`,
		},
		"a webhook is added": {
			func(w []webhook) []webhook { return append(w, webhook{Name: "x.example.com"}) }, "configuration", false,
			`webhook "x.example.com" was not installed with the others`,
		},
		"a resource is taken out of a rule": {
			func(w []webhook) []webhook { w[0].Rules[0].Resources = []string{"pods"}; return w }, "gate", true,
			gate + "does not send CREATE of pods/status, UPDATE of pods/status",
		},
		"an operation is taken out of a rule": {
			func(w []webhook) []webhook {
				w[1].Rules[0].Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Update}
				return w
			}, "registration", true, "does not send CREATE of nodes",
		},
		"the scope of a rule is changed": {
			func(w []webhook) []webhook {
				w[1].Rules[0].Scope = new(admissionregistrationv1.NamespacedScope)
				return w
			}, "registration", true,
			"does not send CREATE of nodes, UPDATE of nodes",
		},
		"a resource is added": {
			func(w []webhook) []webhook {
				w[0].Rules[0].Resources = []string{"pods", "pods/status", "pods/exec"}
				return w
			}, "gate", false,
			gate + "also sends CREATE of pods/exec, UPDATE of pods/exec",
		},
		"a rule becomes an asterisk": {
			func(w []webhook) []webhook { w[0].Rules[0].Resources = []string{"pods", "pods/*"}; return w }, "gate", false, gate + "also sends",
		},
		"a match condition is added": {
			func(w []webhook) []webhook {
				w[0].MatchConditions = append(w[0].MatchConditions, admissionregistrationv1.MatchCondition{Name: "not-system", Expression: "false"})
				return w
			}, "gate", true, gate + `does not send writes excluded by the added match condition "not-system"`,
		},
		"a match condition is changed": {
			func(w []webhook) []webhook { w[0].MatchConditions[0].Expression += " && false"; return w }, "gate", true,
			gate + `may not send all its writes: match condition "kubelet" was changed`,
		},
		"a match condition is missing": {
			func(w []webhook) []webhook { w[0].MatchConditions = nil; return w }, "gate", false, gate + `sends more writes: match condition "kubelet"`,
		},
		"another service is called": {
			func(w []webhook) []webhook { w[0].ClientConfig.Service.Namespace = "default"; return w }, "gate", true,
			gate + `calls "service default/node-restriction-plus:443/admit", not "service security/node-restriction-plus:443/admit"`,
		},
		"a URL is called": {
			func(w []webhook) []webhook {
				w[0].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: new("https://10.0.0.1/")}
				return w
			}, "gate", true, gate + `calls "https://10.0.0.1/", not`,
		},
		"the timeout is changed": {
			func(w []webhook) []webhook { w[0].TimeoutSeconds = new(int32(15)); return w }, "gate", false, gate + "has timeoutSeconds 15, not 2",
		},
		"equivalent requests are not matched": {
			func(w []webhook) []webhook { w[0].MatchPolicy = new(admissionregistrationv1.Exact); return w }, "gate", true, `matchPolicy "Exact"`,
		},
		"dry runs are refused": {
			func(w []webhook) []webhook {
				w[0].SideEffects = new(admissionregistrationv1.SideEffectClassSome)
				return w
			}, "gate", false, "sideEffects",
		},
		"another version of reviews is sent": {
			func(w []webhook) []webhook { w[0].AdmissionReviewVersions = []string{"v1beta1"}; return w }, "gate", true, "admissionReviewVersions",
		},
		"a selector is too long to show": {
			func(w []webhook) []webhook {
				w[0].NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{}}
				for i := range 1000 {
					w[0].NamespaceSelector.MatchLabels[fmt.Sprint("label-", i)] = "x"
				}
				return w
			}, "gate", true, `..."`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := CompareWebhooks(annotated(rendered()), test.rewrite(rendered()))
			if test.part == "" {
				if len(found) > 0 {
					t.Errorf("it finds %v", found)
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("it finds %v", found)
			}
			checkDifference(t, found[0], test.part, test.weaker, test.text)
		})
	}
}

func checkDifference(t *testing.T, d Difference, part string, weaker bool, text string) {
	t.Helper()
	if d.Part != part || d.Weaker != weaker || !strings.Contains(d.Text, text) {
		t.Errorf("it finds %+v, want part %q, weaker %t, and the text %q", d, part, weaker, text)
	}
	if len(d.Text) > maxText || strings.ContainsAny(d.Text, "\n\r") {
		t.Errorf("the text has %d bytes: %q", len(d.Text), d.Text)
	}
}

// TestCompareSelectorThatWasInstalled takes a selector away that was installed, and changes it.
func TestCompareSelectorThatWasInstalled(t *testing.T) {
	want := rendered()
	want[0].NamespaceSelector = aks()
	want = annotated(want)
	if found := CompareWebhooks(want, rendered()); len(found) != 1 || found[0].Weaker || !strings.Contains(found[0].Text, "sends more") {
		t.Errorf("without it: %v", found)
	}
	have := rendered()
	have[0].NamespaceSelector = aks()
	if found := CompareWebhooks(want, have); len(found) > 0 {
		t.Errorf("with it: %v", found)
	}
	have[0].NamespaceSelector.MatchExpressions[1].Values = []string{"aks", "me"}
	if found := CompareWebhooks(want, have); len(found) != 1 || !found[0].Weaker {
		t.Errorf("changed: %v", found)
	}
}

type (
	policySpec  = admissionregistrationv1.ValidatingAdmissionPolicySpec
	bindingSpec = admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec
)

// renderedPolicy is a policy of the floor as the chart renders it.
func renderedPolicy() *policySpec {
	return &policySpec{
		FailurePolicy: new(admissionregistrationv1.Fail),
		MatchConstraints: &admissionregistrationv1.MatchResources{
			MatchPolicy: new(admissionregistrationv1.Equivalent),
			ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{
				{RuleWithOperations: rules(admissionregistrationv1.ClusterScope, "nodes")[0]},
			},
		},
		MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "kubelet", Expression: condition}},
		Variables:       []admissionregistrationv1.Variable{{Name: "owners", Expression: "object.metadata.ownerReferences"}},
		Validations: []admissionregistrationv1.Validation{
			{Expression: "size(object.metadata.finalizers) == 0", Message: "finalizers"},
			{Expression: "size(object.metadata.ownerReferences) == 0", Message: "owners"},
		},
	}
}

func annotatedPolicy() *policySpec {
	spec := renderedPolicy()
	spec.MatchConditions[0].Expression = Digest(spec.MatchConditions[0].Expression)
	for i := range spec.Variables {
		spec.Variables[i].Expression = Digest(spec.Variables[i].Expression)
	}
	for i := range spec.Validations {
		spec.Validations[i].Expression = Digest(spec.Validations[i].Expression)
	}
	return spec
}

func TestComparePolicy(t *testing.T) {
	for name, test := range map[string]struct {
		rewrite func(s *policySpec)
		weaker  bool
		text    string // empty: no difference
	}{
		"nothing is changed": {rewrite: func(*policySpec) {}},
		"the API server sets its defaults": {rewrite: func(s *policySpec) {
			s.MatchConstraints.NamespaceSelector, s.MatchConstraints.ObjectSelector = &metav1.LabelSelector{}, &metav1.LabelSelector{}
		}},
		"a namespace selector has no effect on Nodes": {rewrite: func(s *policySpec) { s.MatchConstraints.NamespaceSelector = aks() }},
		"errors let writes pass": {
			func(s *policySpec) { s.FailurePolicy = new(admissionregistrationv1.Ignore) }, true,
			`ValidatingAdmissionPolicy "floor" lets writes pass that it cannot evaluate`,
		},
		"a validation is changed": {
			func(s *policySpec) { s.Validations = []admissionregistrationv1.Validation{s.Validations[1]} }, true,
			`lacks the validation with the message "finalizers"`,
		},
		"a validation is added": {
			func(s *policySpec) {
				s.Validations = append(s.Validations, admissionregistrationv1.Validation{Expression: "false", Message: "no"})
			}, false, `has another validation, with the message "no"`,
		},
		"a variable is changed": {
			func(s *policySpec) { s.Variables[0].Expression = "[]" }, true, `lacks the variable "owners", or its expression was changed`,
		},
		"a variable that nobody reads is added": {rewrite: func(s *policySpec) {
			s.Variables = append(s.Variables, admissionregistrationv1.Variable{Name: "a", Expression: "1"})
		}},
		"no object is matched": {
			func(s *policySpec) { s.MatchConstraints.ObjectSelector = aks() }, true,
			`ValidatingAdmissionPolicy "floor" does not evaluate writes of objects excluded by objectSelector`,
		},
		"one name is matched": {
			func(s *policySpec) { s.MatchConstraints.ResourceRules[0].ResourceNames = []string{"a"} }, true, "has other resourceNames",
		},
		"a resource is excluded": {
			func(s *policySpec) { s.MatchConstraints.ExcludeResourceRules = s.MatchConstraints.ResourceRules }, true, "excludeResourceRules",
		},
		"another resource is matched": {
			func(s *policySpec) {
				s.MatchConstraints.ResourceRules[0].Operations = s.MatchConstraints.ResourceRules[0].Operations[1:]
			}, true,
			"does not evaluate CREATE of nodes",
		},
		"a match condition is added": {
			func(s *policySpec) {
				s.MatchConditions = append(s.MatchConditions, admissionregistrationv1.MatchCondition{Name: "never", Expression: "false"})
			}, true, `does not evaluate writes excluded by the added match condition "never"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			have := renderedPolicy()
			test.rewrite(have)
			checkFloor(t, ComparePolicy("floor", annotatedPolicy(), have), test.weaker, test.text)
		})
	}
}

func checkFloor(t *testing.T, found []Difference, weaker bool, text string) {
	t.Helper()
	switch {
	case text == "" && len(found) == 0:
	case text == "" || len(found) != 1:
		t.Errorf("it finds %v", found)
	default:
		checkDifference(t, found[0], partFloor, weaker, text)
	}
}

func TestCompareBinding(t *testing.T) {
	actions := func(a ...admissionregistrationv1.ValidationAction) func(s *bindingSpec) {
		return func(s *bindingSpec) { s.ValidationActions = a }
	}
	for name, test := range map[string]struct {
		rewrite func(s *bindingSpec)
		weaker  bool
		text    string // empty: no difference
	}{
		"nothing is changed": {rewrite: func(*bindingSpec) {}},
		"the API server sets its defaults": {rewrite: func(s *bindingSpec) {
			s.MatchResources = &admissionregistrationv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{}}
		}},
		"violations are only audited": {
			actions(admissionregistrationv1.Audit), true, `has other validationActions: without "Deny", with (none)`,
		},
		"violations are denied, but not audited": {actions(admissionregistrationv1.Deny), false, `without "Audit"`},
		"another policy is bound":                {func(s *bindingSpec) { s.PolicyName = "x" }, true, `binds "x", not "floor"`},
		"some namespaces are bound": {
			func(s *bindingSpec) {
				s.MatchResources = &admissionregistrationv1.MatchResources{NamespaceSelector: aks()}
			}, true, "matchResources",
		},
		"parameters are needed": {
			func(s *bindingSpec) { s.ParamRef = &admissionregistrationv1.ParamRef{Name: "x"} }, true, "paramRef",
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := &bindingSpec{
				PolicyName: "floor", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny, admissionregistrationv1.Audit},
			}
			have := want.DeepCopy()
			test.rewrite(have)
			checkFloor(t, CompareBinding("floor", want, have), test.weaker, test.text)
		})
	}
}

func TestInstalled(t *testing.T) {
	text, err := json.Marshal(Installed{Webhooks: annotated(rendered()), Floor: []string{"floor"}})
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := Decode[Installed](map[string]string{Annotation: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	if found := CompareWebhooks(decoded.Webhooks, rendered()); len(found) > 0 || !slices.Equal(decoded.Floor, []string{"floor"}) {
		t.Errorf("it has the floor %v, and differs by %v", decoded.Floor, found)
	}
	for name, annotations := range map[string]map[string]string{
		"no annotation":      {"example.com/x": "y"},
		"another annotation": {Annotation: "installed"},
	} {
		if _, err := Decode[Installed](annotations); err == nil || !strings.Contains(err.Error(), Annotation) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}
