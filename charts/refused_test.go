// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/api/v1alpha1"
	composing "noderestriction.plus/internal/conditions"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

const (
	refusedBegin = "<!-- Made of the fixtures by make generate. -->\n"
	refusedEnd   = "<!-- End of what is made of the fixtures. -->\n"
)

// TestWhatIsRefusedIsCurrent holds the table of docs/follow-policies.md to what API servers refuse by themselves: of the writes of fixtures that
// the rule denies under the fixture's policy, those that go to gate, or that the floor denies.
func TestWhatIsRefusedIsCurrent(t *testing.T) {
	r := render(t, following()...)
	follow := &follower{webhooks: r.webhooks, base: baseOf(t, r), callers: map[string]*caller{}}
	f := &followedFloor{
		follower: follow, policy: get[*admissionregistrationv1.ValidatingAdmissionPolicy](t, r, follow.base.Floor), floors: map[string]*floor{},
	}
	rows, total, refused := "", 0, 0
	for _, rule := range rules.All() {
		paths, err := filepath.Glob(filepath.Join("../policy/rules/testdata", string(rule.ID), "deny", "*.txtar"))
		if err != nil {
			t.Fatal(err)
		}
		var passes []string
		for _, file := range paths {
			if !rule.ForKubelets() {
				continue
			}
			total++
			if f.refuses(t, readFixture(t, file)) {
				refused++
			} else {
				passes = append(passes, strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".txtar"), "-", " "))
			}
		}
		if len(passes) > 0 {
			rows += fmt.Sprintf("| `%s` | %d of %d | %s |\n", rule.ID, len(passes), len(paths), strings.Join(passes, "; "))
		}
	}
	const page = "../docs/follow-policies.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), refusedBegin)
	_, after, ended := strings.Cut(rest, refusedEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for what is refused", path.Base(page))
	}
	table := fmt.Sprintf("Of the %d writes with which the [rules](rules.md) are tested and that they deny, an API server refuses %d by itself. "+
		"The others pass:\n\n| rule | writes | which |\n|---|---|---|\n%s", total, refused, rows)
	compareFile(t, page, []byte(before+refusedBegin+table+refusedEnd+after))
}

func readFixture(t *testing.T, path string) *fixture.Fixture {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fixture.Parse(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return f
}

// followedFloor evaluates the conditions and the floor that the program makes of policies.
type followedFloor struct {
	*follower
	policy *admissionregistrationv1.ValidatingAdmissionPolicy // that the chart renders
	floors map[string]*floor                                  // by their content
}

// refuses reports whether an API server refuses the write of a fixture while nothing answers.
func (f *followedFloor) refuses(t *testing.T, x *fixture.Fixture) bool {
	t.Helper()
	called, _ := f.calls(t, x.Policies, v1alpha1.Deny, x.Request)
	return slices.Contains(called, "gate.noderestriction.plus") ||
		x.Request.Resource == "nodes" && x.Request.Operation == admissionv1.Create && f.denies(t, x.Policies, x.Request)
}

// denies reports whether the floor denies a registration.
func (f *followedFloor) denies(t *testing.T, policies []*v1alpha1.NodeRestrictionPolicy, r policy.Request) bool {
	t.Helper()
	composed := f.compose(t, policies, v1alpha1.Deny)
	key := string(mustMarshal(composed.Floor))
	if f.floors[key] == nil {
		p := f.policy.DeepCopy()
		p.Spec.Variables, p.Spec.Validations, p.Spec.AuditAnnotations =
			composed.Floor.Variables, composed.Floor.Validations, composed.Floor.AuditAnnotations
		f.floors[key] = newFloor(t, p)
	}
	c := f.caller(t, composed, r)
	return len(f.floors[key].evaluate(t, c, c.attributesOf(r).GetUserInfo().GetName(), r)) > 0
}

// compose makes the conditions of policies that all have one action.
func (f *follower) compose(t *testing.T, policies []*v1alpha1.NodeRestrictionPolicy, action v1alpha1.ValidationAction) *composing.Composed {
	t.Helper()
	var inForce []composing.Policy
	for _, p := range policies {
		p = p.DeepCopy()
		p.Spec.ValidationActions = []v1alpha1.ValidationAction{action}
		compiled, errs := rules.NewCompiler().Compile(p)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		inForce = append(inForce, composing.Policy{Name: p.Name, Denies: action == v1alpha1.Deny, Rules: compiled.Rules(), Spec: &p.Spec})
	}
	return composing.Compose(f.base, inForce, rules.NewCompiler().Rules())
}
