// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// The webhooks on what kubelets write, with what happens while no replica answers.
var kubeletWebhooks = map[string]admissionregistrationv1.FailurePolicyType{
	"gate.noderestriction.plus":         admissionregistrationv1.Fail,
	"registration.noderestriction.plus": admissionregistrationv1.Ignore,
	"status.noderestriction.plus":       admissionregistrationv1.Ignore,
	"others.noderestriction.plus":       admissionregistrationv1.Ignore,
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
			switch w.Name {
			case policyWebhook:
				checkPolicyWebhook(t, w)
			case agentWebhook: // which TestAgentWebhook tests
				if len(w.Rules) > 0 {
					t.Errorf("it is sent %v, but no value names an agent", w.Rules)
				}
			default:
				checkKubeletWebhook(t, w)
			}
		})
	}
	if len(names) != len(kubeletWebhooks)+2 { // and those of agents and of the policies
		t.Errorf("the webhooks are %v", names)
	}
}

// TestWebhooksStay holds the webhooks to be the same whatever the values ask for, where the chart starts the program.
// Server-side apply could not take one out of whose fields cainjector has set one: what is left of it is not valid. And a
// new one would not trust the certificate that replicas serve until it is changed.
func TestWebhooksStay(t *testing.T) {
	names := func(args ...string) []string {
		var all []string
		for _, w := range render(t, args...).webhooks.Webhooks {
			all = append(all, w.Name)
			empty := w.Name == "others.noderestriction.plus" || w.Name == agentWebhook
			if len(args) == 0 && empty != (len(w.Rules) == 0) {
				t.Errorf("%s has %d rules", w.Name, len(w.Rules))
			}
		}
		return all
	}
	want := names()
	for _, set := range []string{
		"profile=strict", "baseline={leases}", "subjects.usernamePrefixes={system:ovn-node:}", "rules.events=true", "certificates.mode=certManager", provided,
		"certificates.mode=certManager,baseline={leases}",
	} {
		if got := names("--set", set); !slices.Equal(got, want) {
			t.Errorf("%s: the webhooks are %v, without it %v", set, got, want)
		}
	}
}

// TestNoProfileAsksForMore holds each profile to what holds for the default.
func TestNoProfileAsksForMore(t *testing.T) {
	for _, profile := range []string{"observe", "strict", "controlPlane"} {
		webhooks := render(t, "--set", "profile="+profile).webhooks.Webhooks
		if len(webhooks) != len(kubeletWebhooks)+2 {
			t.Errorf("%s: there are %d webhooks", profile, len(webhooks))
		}
		for i := range webhooks {
			w := &webhooks[i]
			checkWebhook(t, w)
			checkRules(t, w.Rules)
			asksLoopback := w.ClientConfig.URL != nil && strings.HasPrefix(*w.ClientConfig.URL, "https://localhost:9443/")
			if asksLoopback != (profile == "controlPlane") {
				t.Errorf("%s: %s asks %v", profile, w.Name, w.ClientConfig)
			}
		}
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
	const isKubelet = "request.userInfo.?username.orValue('').startsWith('system:node:')"
	if !slices.ContainsFunc(w.MatchConditions, func(m admissionregistrationv1.MatchCondition) bool {
		return m.Expression == isKubelet || strings.HasPrefix(m.Expression, "!"+isKubelet+" ? false :")
	}) {
		t.Error("no match condition is false for all clients that are no kubelets")
	}
}

// write is a kind of write, as an admission rule and as a rule's target name it.
type write struct {
	operation admissionv1.Operation
	resource  string
}

// everything are the values under which the chart sends all that any rule looks at.
func everything() []string {
	return []string{
		"--set", "rules.serviceAccountTokens=true,rules.csiNodes=true,rules.resourceSlices=true,rules.events=true",
		"--set", "baseline={pods,persistentvolumeclaims,serviceaccounts,leases,csinodes,resourceslices," +
			"certificatesigningrequests,podcertificaterequests}",
	}
}

// TestWebhooksAreSentWhatRulesLookAt holds the wiring and the rules together, both ways: by default those rules that are not
// opt-in, and with every value all rules.
func TestWebhooksAreSentWhatRulesLookAt(t *testing.T) {
	byDefault := func(r policy.Rule) bool { return !r.OptIn }
	compareWrites(t, targetsOf(byDefault), sentBy(render(t)))
	all := func(policy.Rule) bool { return true }
	compareWrites(t, targetsOf(all), sentBy(render(t, everything()...)))
}

// TestBetaVersionsAreSent is about resources that API servers from 1.31 on have only in a beta version.
func TestBetaVersionsAreSent(t *testing.T) {
	c := newCaller(t, everything()...)
	for _, version := range []string{"v1beta1", "v1beta2"} {
		t.Run("ResourceSlices in "+version, func(t *testing.T) {
			for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update, admissionv1.Delete} {
				slice := mustMarshal(emptySlice(version))
				r := policy.Request{Write: policy.Write{
					Operation: operation, Resource: "resourceslices.resource.k8s.io", Version: version, Name: "a", OldObject: slice,
				}}
				if operation != admissionv1.Delete {
					r.Object = slice
				}
				checkCalls(t, c, kubelet, r, "others.noderestriction.plus")
			}
		})
	}
	t.Run("PodCertificateRequests in v1beta1", func(t *testing.T) {
		r := policy.Request{Write: policy.Write{
			Operation: admissionv1.Create, Resource: "podcertificaterequests.certificates.k8s.io", Version: "v1beta1",
			Namespace: "default", Name: "a", Object: []byte(`{}`),
		}}
		checkCalls(t, c, kubelet, r, "others.noderestriction.plus")
	})
}

func targetsOf(counts func(policy.Rule) bool) map[write]bool {
	wanted := map[write]bool{}
	for _, rule := range rules.All() {
		if !counts(rule) {
			continue
		}
		for _, target := range rule.Targets {
			resource := strings.TrimSuffix(target.Resource+"/"+target.Subresource, "/")
			for _, op := range target.Operations {
				wanted[write{op, resource}] = true
			}
		}
	}
	return wanted
}

func sentBy(r rendered) map[write]bool {
	sent := map[write]bool{}
	for _, w := range r.webhooks.Webhooks {
		if _, judges := kubeletWebhooks[w.Name]; !judges {
			continue
		}
		for _, rule := range w.Rules {
			// The probe has a rule of its own, which TestProbes tests.
			if w.Name != "others.noderestriction.plus" && slices.Contains(rule.Resources, "csinodes") {
				continue
			}
			for _, group := range rule.APIGroups {
				for _, op := range rule.Operations {
					for _, resource := range rule.Resources {
						sent[write{admissionv1.Operation(op), qualified(resource, group)}] = true
					}
				}
			}
		}
	}
	return sent
}

// qualified is a resource with its group, as targets name it, and its subresource.
func qualified(resource, group string) string {
	if group == "" {
		return resource
	}
	resource, subresource, _ := strings.Cut(resource, "/")
	return strings.TrimSuffix(resource+"."+group+"/"+subresource, "/")
}

func compareWrites(t *testing.T, wanted, sent map[write]bool) {
	t.Helper()
	for w := range wanted {
		// A rule of the baseline refuses all subresources but some; the chart sends those that there are.
		if !sent[w] && !strings.HasSuffix(w.resource, "/"+policy.AnySubresource) {
			t.Errorf("a rule looks at %s %s, which no webhook is sent", w.operation, w.resource)
		}
	}
	for w := range sent {
		resource, _, _ := strings.Cut(w.resource, "/")
		if !wanted[w] && !wanted[write{w.operation, resource + "/" + policy.AnySubresource}] {
			t.Errorf("a webhook is sent %s %s, at which no rule looks", w.operation, w.resource)
		}
	}
}
