// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	composing "noderestriction.plus/internal/conditions"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// following renders the chart with match conditions that follow the policies.
func following() []string {
	return append(everything(), "--set", "webhook.url=https://127.0.0.1:9443,webhook.followPolicies=true,policies.recommended=Off")
}

// baseOf returns what the chart tells the program, and checks that its digest is where the program looks for it.
func baseOf(t testing.TB, r rendered) *composing.Base {
	t.Helper()
	data := get[*corev1.ConfigMap](t, r, "node-restriction-plus-conditions").Data["conditions.json"]
	sum := sha256.Sum256([]byte(data))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	path := filepath.Join(t.TempDir(), "conditions.json")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	base, err := composing.ReadBase(path)
	if err != nil {
		t.Fatal(err)
	}
	if have := r.webhooks.Annotations["noderestriction.plus/base"]; have != digest || base.Digest() != digest {
		t.Errorf("the digest is %s, in the configuration %s, read %s", digest, have, base.Digest())
	}
	if base.Floor != "" {
		p := get[*admissionregistrationv1.ValidatingAdmissionPolicy](t, r, base.Floor)
		if have := p.Annotations["noderestriction.plus/base"]; have != digest {
			t.Errorf("the digest in the floor is %s", have)
		}
	}
	return base
}

// TestBaseConditions checks that the program changes no names of match conditions: helm upgrade replaces each of them, and leaves none.
func TestBaseConditions(t *testing.T) {
	for name, arguments := range map[string][]string{
		"by default":            {"--set", "webhook.followPolicies=true"},
		"with everything":       following(),
		"with denying policies": {"--set", "webhook.followPolicies=true,policies.recommended=Deny,policies.strict=Deny"},
		"for a distribution":    {"--set", "webhook.followPolicies=true,policies.distribution=k3s"},
		"without a floor":       {"--set", "webhook.followPolicies=true,floor.enabled=false"},
		"observing":             {"--set", "webhook.followPolicies=true,profile=observe"},
	} {
		t.Run(name, func(t *testing.T) {
			r := render(t, arguments...)
			base := baseOf(t, r)
			namesOf := func(list []admissionregistrationv1.MatchCondition) (names []string) {
				for _, m := range list {
					names = append(names, m.Name)
				}
				return names
			}
			composed := composing.Compose(base, nil, rules.NewCompiler().Rules())
			for _, w := range r.webhooks.Webhooks {
				list, followed := composed.Webhooks[w.Name]
				if w.Name == "policies.noderestriction.plus" {
					if followed {
						t.Errorf("%s is followed", w.Name)
					}
					continue
				}
				if followed && !slices.Equal(namesOf(w.MatchConditions), namesOf(list)) {
					t.Errorf("%s has the conditions %v, and gets %v", w.Name, namesOf(w.MatchConditions), namesOf(list))
				}
				if !followed && len(w.Rules) > 0 {
					t.Errorf("%s is not followed", w.Name)
				}
			}
			if (base.Floor == "") != (composed.Floor == nil) || (base.Floor == "") != (name == "without a floor" || name == "observing") {
				t.Errorf("the floor is %q, %v", base.Floor, composed.Floor)
			}
		})
	}
	r := render(t)
	if _, found := r.webhooks.Annotations["noderestriction.plus/base"]; found {
		t.Error("without the value, the configuration says that the program may write it")
	}
	if _, err := helmTemplate(t, "--set", "profile=controlPlane,controlPlane.static.enabled=true,certificates.mode=provided,"+
		"webhook.caBundle=YQ==,webhook.followPolicies=true"); err == nil || !strings.Contains(err.Error(), "webhook.followPolicies") {
		t.Errorf("files of API servers cannot follow: %v", err)
	}
}

// follower evaluates the conditions that the program makes of policies.
type follower struct {
	webhooks *admissionregistrationv1.ValidatingWebhookConfiguration
	base     *composing.Base
	callers  map[string]*caller // by the conditions
	// unstructured is that of the callers.
	unstructured bool
}

// calls returns which webhooks are called for a write if all policies have one action, and whether CEL says all of them exactly.
func (f *follower) calls(
	t *testing.T, policies []*v1alpha1.NodeRestrictionPolicy, action v1alpha1.ValidationAction, r policy.Request,
) (called []string, complete bool) {
	t.Helper()
	composed := f.compose(t, policies, action)
	complete = true
	for _, finding := range composed.Findings {
		complete = complete && finding.Reason == composing.Complete
	}
	c := f.caller(t, composed, r)
	c.t, c.unstructured = t, f.unstructured
	called, failed := c.match(c.attributesOf(r))
	if len(failed) > 0 || len(called) > 1 {
		t.Errorf("with %s, called are %v, failed %v", action, called, failed)
	}
	return called, complete
}

// caller compiles the conditions about a kind of write. Those about others are true for it.
func (f *follower) caller(t *testing.T, composed *composing.Composed, r policy.Request) *caller {
	t.Helper()
	kinds := compile.WritesOf(rules.NewCompiler().Rules())
	webhooks := slices.DeleteFunc(f.webhooks.DeepCopy().Webhooks, func(w admissionregistrationv1.ValidatingWebhook) bool {
		resource, _, _ := strings.Cut(r.Resource, ".")
		if r.Subresource != "" {
			resource += "/" + r.Subresource
		}
		return composed.Webhooks[w.Name] == nil || !slices.ContainsFunc(w.Rules, func(rule admissionregistrationv1.RuleWithOperations) bool {
			return slices.Contains(rule.Resources, resource)
		})
	})
	for i := range webhooks {
		w := &webhooks[i]
		w.MatchConditions = slices.DeleteFunc(slices.Clone(composed.Webhooks[w.Name]), func(m admissionregistrationv1.MatchCondition) bool {
			return slices.ContainsFunc(kinds, func(k compile.Write) bool {
				return strings.TrimSuffix(m.Name, "-not-gate") == k.String() &&
					(k.Resource != r.Resource || k.Subresource != r.Subresource && k.Subresource != policy.AnySubresource || k.Operation != string(r.Operation))
			})
		})
	}
	key := string(mustMarshal(webhooks))
	if f.callers[key] == nil {
		f.callers[key] = newCallerOf(t, webhooks)
	}
	return f.callers[key]
}

// TestFollowedFixtures evaluates fixtures of each rule with the conditions of their policies: what violates a rule is sent, to one webhook; what
// violates nothing is not sent, unless the chart's own conditions do so, or CEL cannot tell; policies that only record change nothing of
// the gate.
func TestFollowedFixtures(t *testing.T) {
	r := render(t, following()...)
	follow := &follower{webhooks: r.webhooks, base: baseOf(t, r), callers: map[string]*caller{}}
	paths, err := filepath.Glob("../policy/rules/testdata/*/*/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no fixtures", err)
	}
	// Compiling the conditions of a policy takes a second: one fixture of each rule and verdict.
	paths = slices.CompactFunc(paths, func(a, b string) bool { return filepath.Dir(a) == filepath.Dir(b) })
	const gate = "gate.noderestriction.plus"
	sent, unsent, gated := 0, 0, 0
	for _, path := range paths {
		name := strings.TrimPrefix(path, "../policy/rules/testdata/")
		t.Run(name, func(t *testing.T) {
			f := readFixture(t, path)
			if !f.Request.Subject.IsKubelet() {
				return // by a node agent, whose writes no condition is about
			}
			always, _ := follow.calls(t, nil, v1alpha1.Deny, f.Request)
			denied, complete := follow.calls(t, f.Policies, v1alpha1.Deny, f.Request)
			audited, _ := follow.calls(t, f.Policies, v1alpha1.Audit, f.Request)
			// An API server removes fields that it does not know.
			unknown := strings.Contains(name, "-unknown-fields/") || name == "node-other-spec/deny/adds-false.txtar"
			// The floor denies registrations.
			floor := f.Request.Resource == "nodes" && f.Request.Operation == admissionv1.Create
			switch {
			case f.Want != fixture.Allowed && !unknown && (len(denied) == 0 && !floor || len(audited) == 0):
				t.Errorf("a write that violates the policy is not sent: %v, only recorded %v", denied, audited)
			case f.Want == fixture.Allowed && complete && !slices.Equal(denied, always):
				t.Errorf("a write that violates nothing is sent to %v", denied)
			case slices.Contains(audited, gate) && !slices.Contains(always, gate):
				t.Error("a policy that only records refuses a write while no replica answers")
			}
			switch {
			case slices.Contains(denied, gate):
				gated++
			case len(denied) > 0:
				sent++
			default:
				unsent++
			}
		})
	}
	t.Logf("of %d writes, %d go to gate, %d elsewhere, %d are not sent", len(paths), gated, sent, unsent)
	if gated < len(paths)/4 || unsent < len(paths)/8 {
		t.Errorf("of %d writes, %d go to gate, %d elsewhere, %d are not sent", len(paths), gated, sent, unsent)
	}
}
