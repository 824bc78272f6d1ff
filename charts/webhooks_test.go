package charts_test

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/policy"
)

// The webhooks on what kubelets write, with what happens while no replica answers.
var kubeletWebhooks = map[string]admissionregistrationv1.FailurePolicyType{
	"gate.noderestriction.plus":         admissionregistrationv1.Fail,
	"registration.noderestriction.plus": admissionregistrationv1.Ignore,
	"status.noderestriction.plus":       admissionregistrationv1.Ignore,
}

const policyWebhook = "policies.noderestriction.plus"

func TestWebhooks(t *testing.T) {
	configuration := render(t).webhooks
	if configuration.Name != "node-restriction-plus" {
		t.Errorf("the configuration is named %q", configuration.Name)
	}
	var names []string
	for i := range configuration.Webhooks {
		w := &configuration.Webhooks[i]
		names = append(names, w.Name)
		t.Run(w.Name, func(t *testing.T) {
			checkWebhook(t, w)
			checkRules(t, w.Rules)
			if w.Name == policyWebhook {
				checkPolicyWebhook(t, w)
			} else {
				checkKubeletWebhook(t, w)
			}
		})
	}
	if len(names) != len(kubeletWebhooks)+1 {
		t.Errorf("the webhooks are %v", names)
	}
}

func checkWebhook(t *testing.T, w *admissionregistrationv1.ValidatingWebhook) {
	if *w.SideEffects != admissionregistrationv1.SideEffectClassNoneOnDryRun {
		t.Errorf("sideEffects is %s", *w.SideEffects)
	}
	if *w.MatchPolicy != admissionregistrationv1.Equivalent {
		t.Errorf("matchPolicy is %s", *w.MatchPolicy)
	}
	if !slices.Equal(w.AdmissionReviewVersions, []string{"v1"}) {
		t.Errorf("admissionReviewVersions are %v", w.AdmissionReviewVersions)
	}
	if w.ObjectSelector != nil || w.NamespaceSelector != nil {
		t.Error("a selector decides by labels, which an attacker may choose")
	}
}

// checkRules fails for a wildcard, and for resources that must never wait for a webhook.
func checkRules(t *testing.T, rules []admissionregistrationv1.RuleWithOperations) {
	for _, rule := range rules {
		words := slices.Concat(rule.APIGroups, rule.APIVersions, rule.Resources)
		for _, op := range rule.Operations {
			words = append(words, string(op))
		}
		if rule.Scope == nil || *rule.Scope == admissionregistrationv1.AllScopes {
			t.Errorf("the scope of %v is not given", rule.Resources)
		}
		for _, word := range words {
			if strings.Contains(word, "*") {
				t.Errorf("%v has a wildcard", words)
			}
			if resource, _, _ := strings.Cut(word, "/"); slices.Contains([]string{"leases", "events"}, resource) || strings.HasSuffix(resource, "reviews") {
				t.Errorf("%s must not wait for a webhook", word)
			}
		}
	}
}

func checkPolicyWebhook(t *testing.T, w *admissionregistrationv1.ValidatingWebhook) {
	if *w.FailurePolicy != admissionregistrationv1.Ignore {
		t.Errorf("failurePolicy is %s: a policy could not be repaired while no replica answers", *w.FailurePolicy)
	}
	if path := *w.ClientConfig.Service.Path; path != "/policies" {
		t.Errorf("the path is %s", path)
	}
}

func checkKubeletWebhook(t *testing.T, w *admissionregistrationv1.ValidatingWebhook) {
	if want := kubeletWebhooks[w.Name]; *w.FailurePolicy != want {
		t.Errorf("failurePolicy is %s, want %q", *w.FailurePolicy, want)
	}
	if *w.TimeoutSeconds < 1 || *w.TimeoutSeconds > 2 {
		t.Errorf("timeoutSeconds is %d: a kubelet waits that long five times", *w.TimeoutSeconds)
	}
	if path := *w.ClientConfig.Service.Path; path != "/admit" {
		t.Errorf("the path is %s", path)
	}
	first := w.MatchConditions[0]
	if want := "request.userInfo.?username.orValue('').startsWith('system:node:')"; first.Name != "kubelet" || first.Expression != want {
		t.Errorf("the first match condition is %s: %s", first.Name, first.Expression)
	}
}

// write is a kind of write, as an admission rule and as a rule's target name it.
type write struct {
	operation admissionv1.Operation
	resource  string
}

// TestWebhooksAreSentWhatRulesLookAt holds the wiring and the rules together, both ways.
func TestWebhooksAreSentWhatRulesLookAt(t *testing.T) {
	wanted, sent := map[write]bool{}, map[write]bool{}
	for _, rule := range policy.Rules() {
		for _, target := range rule.Targets {
			resource := strings.TrimSuffix(target.Resource+"/"+target.Subresource, "/")
			for _, op := range target.Operations {
				wanted[write{op, resource}] = true
			}
		}
	}
	for _, w := range render(t).webhooks.Webhooks {
		if _, judges := kubeletWebhooks[w.Name]; !judges {
			continue
		}
		for _, rule := range w.Rules {
			for _, op := range rule.Operations {
				for _, resource := range rule.Resources {
					sent[write{admissionv1.Operation(op), resource}] = true
				}
			}
		}
	}
	for w := range wanted {
		if !sent[w] {
			t.Errorf("a rule looks at %s %s, which no webhook is sent", w.operation, w.resource)
		}
	}
	for w := range sent {
		if !wanted[w] {
			t.Errorf("a webhook is sent %s %s, at which no rule looks", w.operation, w.resource)
		}
	}
}
