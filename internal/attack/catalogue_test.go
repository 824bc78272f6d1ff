// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// TestPoliciesForbidTheAttacksOfTheirRules evaluates each attack by the policy of a fixture: the example of its rule or, if that is about
// another value, one of the other fixtures that are denied.
func TestPoliciesForbidTheAttacksOfTheirRules(t *testing.T) {
	for _, a := range slices.Concat(Catalogue(), AgentCatalogue()) {
		if a.Rule == "" {
			continue
		}
		if w, _ := a.write(modelOf(&a)); w == nil {
			if a.Stock != NotTried {
				t.Errorf("%s: cannot be tried with the model", a.ID)
			}
			continue
		}
		if !forbiddenByAFixture(t, &a) {
			t.Errorf("%s: no policy of the fixtures of %s forbids it", a.ID, a.Rule)
		}
	}
}

func forbiddenByAFixture(t *testing.T, a *Attack) bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../../policy/rules/testdata", string(a.Rule), "deny", "*.txtar"))
	if err == nil && isAgents(a) {
		paths, err = filepath.Glob("../../policy/rules/testdata/agents/deny/*.txtar")
		own, _ := filepath.Glob(filepath.Join("../../policy/rules/testdata", string(a.Rule), "deny", "*.txtar"))
		paths = append(paths, own...)
	}
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no fixtures (%v)", a.Rule, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := fixture.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := f.Compile(rules.NewCompiler())
		if err != nil {
			t.Fatal(err)
		}
		s := modelOf(a)
		if isAgents(a) {
			s.account = f.Request.Subject.Account
		}
		if (s.account != "") == isAgents(a) && slices.Contains(violated(t, a, s, policy.NewSet(compiled...)), a.Rule) {
			return true
		}
	}
	return false
}

// modelAgent is a service account.
const modelAgent = "kube-system/cni"

// isAgents reports whether an attack is one of a node agent.
func isAgents(a *Attack) bool {
	return slices.ContainsFunc(AgentCatalogue(), func(other Attack) bool { return other.ID == a.ID })
}

// modelOf returns the model for an attack.
func modelOf(a *Attack) *state {
	if isAgents(a) {
		return agentModel(modelNode, modelAgent)
	}
	return model(modelNode, a.ID == "uncordon-own-node")
}

// violated returns the rules that the model of an attack violates.
func violated(t *testing.T, a *Attack, s *state, set *policy.Set) []policy.RuleID {
	t.Helper()
	r := newRun(modelNode, "")
	r.set = set
	_, w, d, err := r.prepare(a, s)
	if err != nil || d.Err != nil {
		t.Fatalf("%s: %v %v", a.ID, err, d.Err)
	}
	if w == nil {
		return nil
	}
	var violated []policy.RuleID
	for _, v := range d.Violations {
		violated = append(violated, v.Rule)
	}
	return violated
}

// TestPagesCountTheAttacks checks the number that pages say.
func TestPagesCountTheAttacks(t *testing.T) {
	want := number(len(Catalogue())) + " attacks"
	for _, page := range []string{"README.md", "CHANGELOG.md", "docs/README.md", "docs/attack.md"} {
		data, err := os.ReadFile(filepath.Join("../..", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range regexp.MustCompile(`[0-9]+ attacks`).FindAllString(string(data), -1) {
			if got != want {
				t.Errorf("%s: says %s, want %s", page, got, want)
			}
		}
	}
}

func TestEachRuleHasAnAttack(t *testing.T) {
	attacks := slices.Concat(Catalogue(), AgentCatalogue())
	for _, rule := range rules.All() {
		if !slices.ContainsFunc(attacks, func(a Attack) bool { return a.Rule == rule.ID }) {
			t.Errorf("%s: no attack in the catalogue is about it", rule.ID)
		}
	}
	id, technique := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`), regexp.MustCompile(`^T[0-9]{4}(\.[0-9]{3})?$`)
	seen := map[string]bool{}
	for _, a := range attacks {
		if !id.MatchString(a.ID) || seen[a.ID] || a.Does == "" || !technique.MatchString(a.Technique) {
			t.Errorf("%+v: is not complete, or its ID is used twice", a)
		}
		seen[a.ID] = true
		if a.Rule != "" && !slices.ContainsFunc(rules.All(), func(r policy.Rule) bool { return r.ID == a.Rule }) {
			t.Errorf("%s: there is no rule %q", a.ID, a.Rule)
		}
	}
}

// TestStockKubeletsAreNoAttack checks that what attacks change, not what they write it into, is what policies deny.
func TestStockKubeletsAreNoAttack(t *testing.T) {
	for _, name := range []string{"recommended", "strict", "baseline"} {
		policies := shipped(t, name)
		r := newRun(modelNode, "")
		if err := r.setPolicies(policies); err != nil {
			t.Fatal(err)
		}
		s := model(modelNode, false)
		for _, a := range []Attack{
			{ID: "registration", write: registering(nil)},
			{ID: "mirror pod", write: mirroring(nil)},
			{ID: "status of the Node", write: onNode("status", always(nil))},
			{ID: "status of a pod", write: onPod(unfinished, noPod, always(nil))},
		} {
			_, _, d, err := r.prepare(&a, s)
			if err != nil || d.Err != nil || len(d.Violations) > 0 {
				t.Errorf("%s: %s: %v %v %s", name, a.ID, err, d.Err, d.Message())
			}
		}
	}
}

// shipped reads a policy of config/policies.
func shipped(t *testing.T, name string) []*manifest.Policy {
	t.Helper()
	file, err := os.Open(filepath.Join("../../config/policies", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := manifest.Read(file, rules.NewCompiler())
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	return f.Policies
}
