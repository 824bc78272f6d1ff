// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
	allrules "noderestriction.plus/policy/rules"
)

const conditionsFile = chart + "/files/conditions.json"

// conditionsOfChart is the content of the file.
type conditionsOfChart struct {
	// Sections has the path of the section in the spec of a policy, of each rule that CEL expresses.
	Sections map[policy.RuleID][]string `json:"sections"`
	// Gate has, by rule, the section that no stock kubelet violates.
	Gate map[policy.RuleID]string `json:"gate"`
	// Writes has, by the name of each kind of write, the condition on a request.
	Writes  map[string]string `json:"writes"`
	Entries []compile.Entry   `json:"entries"`
}

// makeConditions compiles what the chart may find in its own policies: the sections of the gate and of all presets, as they are and as
// they are adapted to each distribution.
func makeConditions(t *testing.T) *conditionsOfChart {
	t.Helper()
	c := &conditionsOfChart{Sections: map[policy.RuleID][]string{}, Gate: map[policy.RuleID]string{}, Writes: map[string]string{}}
	writes := compile.WritesOf(allrules.All())
	for _, w := range writes {
		c.Writes[w.String()] = w.Is(writes)
	}
	seen := map[string]bool{}
	add := func(p *v1alpha1.NodeRestrictionPolicy, rules []policy.Rule) {
		entries, gaps, err := compile.Entries(p, rules)
		if err != nil {
			t.Fatal(err)
		}
		for _, gap := range gaps {
			t.Logf("%s: %s", gap.Rule, gap.Why)
		}
		for _, entry := range entries {
			if key := string(entry.Rule) + " " + entry.Section; !seen[key] {
				seen[key] = true
				c.Entries = append(c.Entries, entry)
			}
		}
	}
	for _, rule := range expressibleRules() {
		c.Sections[rule.ID] = strings.Split(strings.TrimPrefix(rule.Doc.Spec, "spec."), ".")
	}
	gates, rules, err := compile.Gates(allrules.All())
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range gates {
		if c.Gate[rules[i].ID], err = compile.Section(p, rules[i].Doc.Spec); err != nil {
			t.Fatal(err)
		}
		add(p, rules[i:i+1])
	}
	for _, preset := range []string{"recommended", "strict", "baseline"} {
		p := presetNamed(t, preset)
		add(p, rulesOf(t, p))
		for _, name := range distributions(t) {
			if preset != "baseline" {
				p := adapted(t, preset, name)
				add(p, rulesOf(t, p))
			}
		}
	}
	slices.SortStableFunc(c.Entries, func(a, b compile.Entry) int { return strings.Compare(string(a.Rule), string(b.Rule)) })
	return c
}

// presetNamed returns a preset as it is.
func presetNamed(t testing.TB, name string) *v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	data, err := os.ReadFile("../config/policies/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	policies, err := manifest.Policies(data)
	if err != nil {
		t.Fatal(err)
	}
	return policies[0]
}

// TestConditionsAreCurrent compares the chart's file of conditions with what the rules say. With -update it writes the file.
func TestConditionsAreCurrent(t *testing.T) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(makeConditions(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(conditionsFile, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(conditionsFile)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is out of date, run make generate: %v", conditionsFile, err)
	}
}

// TestAuditRefusesNothing renders policies that only warn or record: with them, no webhook whose failure refuses writes, and no floor, has
// another condition than without any policy.
func TestAuditRefusesNothing(t *testing.T) {
	refusing := func(arguments ...string) map[string]any {
		r := render(t, arguments...)
		all := map[string]any{}
		for _, w := range r.webhooks.Webhooks {
			if *w.FailurePolicy == admissionregistrationv1.Fail {
				all[w.Name] = []any{w.Rules, w.MatchConditions}
			}
		}
		for _, o := range r.objects {
			if p, is := o.(*admissionregistrationv1.ValidatingAdmissionPolicy); is {
				all[p.Name] = p.Spec
			}
		}
		return all
	}
	const rules = `"nodes":{"labels":{},"conditions":{},"finalizers":{"allowed":["example.com/*"]}},"pods":{"eviction":{}},"csiNodes":{}`
	none := refusing(append(everything(), "--set", "policies.recommended=Off")...)
	if len(none) == 0 {
		t.Fatal("nothing refuses writes")
	}
	for _, action := range []string{"Audit", "Warn"} {
		got := refusing(append(everything(), "--set", "policies.recommended=Audit,policies.strict=Audit",
			"--set-json", `policies.extra={"a":{"validationActions":["`+action+`"],`+rules+`}}`)...)
		if len(got) != len(none) {
			t.Errorf("%s: %d refuse writes, without policies %d", action, len(got), len(none))
		}
		for name := range none {
			if !reflect.DeepEqual(none[name], got[name]) {
				t.Errorf("%s: %s is %+v, without policies %+v", action, name, got[name], none[name])
			}
		}
	}
	denying := refusing(append(everything(), "--set", "policies.recommended=Deny")...)
	if reflect.DeepEqual(none, denying) {
		t.Error("a policy that denies changes nothing either")
	}
}
