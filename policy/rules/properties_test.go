// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// Properties that hold for every write and every policy. Both are drawn from the fixtures, which between them have every field
// that a rule looks at.

func allFixtures(t testing.TB) []*fixture.Fixture {
	t.Helper()
	paths, err := filepath.Glob("testdata/*/*/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	return readFixtures(t, paths)
}

func readFixtures(t testing.TB, paths []string) []*fixture.Fixture {
	t.Helper()
	fixtures := make([]*fixture.Fixture, len(paths))
	for i, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if fixtures[i], err = fixture.Parse(data); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return fixtures
}

// drawRequest draws a write: that of a fixture, or one between the objects of two fixtures about the same kind of write.
func drawRequest(t *rapid.T, fixtures []*fixture.Fixture) *policy.Request {
	r := rapid.SampledFrom(fixtures).Draw(t, "write").Request
	other := rapid.SampledFrom(fixtures).Draw(t, "other").Request
	if other.Resource == r.Resource && other.Subresource == r.Subresource && other.Operation == r.Operation {
		r.Object = other.Object
	}
	return &r
}

// drawSpecs draws the specs of up to four policies.
func drawSpecs(t *rapid.T, fixtures []*fixture.Fixture) []v1alpha1.NodeRestrictionPolicySpec {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) v1alpha1.NodeRestrictionPolicySpec {
		policies := rapid.SampledFrom(fixtures).Draw(t, "policies").Policies
		spec := rapid.SampledFrom(policies).Draw(t, "policy").DeepCopy().Spec
		spec.ValidationActions = rapid.SampledFrom([][]v1alpha1.ValidationAction{
			{v1alpha1.Deny}, {v1alpha1.Warn}, {v1alpha1.Audit}, {v1alpha1.Deny, v1alpha1.Audit},
		}).Draw(t, "actions")
		return spec
	}), 0, 4).Draw(t, "specs")
}

func compileAll(t *rapid.T, specs []v1alpha1.NodeRestrictionPolicySpec) []*policy.Policy {
	compiled := make([]*policy.Policy, len(specs))
	for i, spec := range specs {
		p, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i)}, Spec: spec,
		})
		if len(errs) > 0 {
			t.Fatal(errs.ToAggregate())
		}
		compiled[i] = p
	}
	return compiled
}

func TestAnotherPolicyNeverAllowsMore(t *testing.T) {
	fixtures := allFixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		r, policies := drawRequest(t, fixtures), compileAll(t, append(drawSpecs(t, fixtures), drawSpecs(t, fixtures)...))
		if len(policies) == 0 {
			return
		}
		fewer := policy.NewSet(policies[:len(policies)-1]...).Evaluate(r)
		all := policy.NewSet(policies...).Evaluate(r)
		for _, v := range fewer.Violations {
			if !slices.Contains(all.Violations, v) {
				t.Errorf("with one policy more the violation %v is gone", v)
			}
		}
	})
}

func TestOrderOfPoliciesNeverMatters(t *testing.T) {
	fixtures := allFixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		r, policies := drawRequest(t, fixtures), compileAll(t, drawSpecs(t, fixtures))
		want := policy.NewSet(policies...).Evaluate(r)
		got := policy.NewSet(rapid.Permutation(policies).Draw(t, "order")...).Evaluate(r)
		if got.Message() != want.Message() || !slices.Equal(got.Violations, want.Violations) {
			t.Errorf("got %v, want %v", got.Violations, want.Violations)
		}
	})
}

func TestEveryActionFindsTheSameViolations(t *testing.T) {
	fixtures := allFixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		r, specs := drawRequest(t, fixtures), drawSpecs(t, fixtures)
		var want []string
		for i, actions := range [][]v1alpha1.ValidationAction{{v1alpha1.Deny}, {v1alpha1.Warn}, {v1alpha1.Audit}} {
			for j := range specs {
				specs[j].ValidationActions = actions
			}
			var got []string
			for _, v := range policy.NewSet(compileAll(t, specs)...).Evaluate(r).Violations {
				got = append(got, fmt.Sprint(v.Policy, v.Rule, v.Violation))
			}
			if i == 0 {
				want = got
			} else if !slices.Equal(got, want) {
				t.Errorf("with %v got %v, want %v", actions, got, want)
			}
		}
	})
}

// deniesByShape are the rules that deny a write which changes nothing, because they deny who writes what, or everything.
func deniesByShape(rule policy.RuleID) bool {
	return slices.Contains([]policy.RuleID{"node-self", "pod-self", "objects", "lockdown", policy.Unverified, policy.WithoutNode}, rule) ||
		strings.HasPrefix(string(rule), "baseline-")
}

func TestWriteThatChangesNothingIsAllowed(t *testing.T) {
	fixtures := allFixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		r := rapid.SampledFrom(fixtures).Draw(t, "write").Request
		if r.Operation != admissionv1.Update {
			return
		}
		r.Object = r.OldObject
		for _, v := range policy.NewSet(compileAll(t, drawSpecs(t, fixtures))...).Evaluate(&r).Violations {
			if !deniesByShape(v.Rule) {
				t.Errorf("a write that changes nothing violates %s: %s", v.Rule, v.Detail)
			}
		}
	})
}

// TestWhatIsPassedOverChangesNothing: rules pass over the parts that an update leaves as they are, byte for byte. The decision is the
// same if each part is written differently, so that none is passed over.
func TestWhatIsPassedOverChangesNothing(t *testing.T) {
	fixtures := allFixtures(t)
	for _, f := range fixtures {
		compareSpellings(t, setOf(t, f), f.Request)
	}
	strict := newPresetSet(t, "../../config/policies/strict.yaml")
	rapid.Check(t, func(rt *rapid.T) {
		r := disguise(rt, rapid.SampledFrom(fixtures).Draw(rt, "write"))
		compareSpellings(rt, strict, *r)
		compareSpellings(rt, policy.NewSet(compileAll(rt, drawSpecs(rt, fixtures))...), *r)
	})
}

func compareSpellings(t interface {
	Fatal(args ...any)
	Errorf(format string, args ...any)
}, set *policy.Set, r policy.Request,
) {
	if r.Operation != admissionv1.Update {
		return
	}
	other := r
	object, err := respelled(r.Object)
	if err != nil {
		return // not well-formed
	}
	other.Object = object
	got, want := set.Evaluate(&r), set.Evaluate(&other)
	if (got.Err != nil) && (want.Err == nil) {
		t.Errorf("got the error %v only if parts are passed over", got.Err)
	}
	if want.Err != nil {
		return // a part that is passed over need not be well-formed
	}
	got.Violations = slices.DeleteFunc(got.Violations, comparesBytes)
	want.Violations = slices.DeleteFunc(want.Violations, comparesBytes)
	if !slices.Equal(got.Violations, want.Violations) {
		t.Errorf("%s %s/%s: got %v, want %v\n%s\n%s", r.Operation, r.Resource, r.Subresource, got, want, r.OldObject, r.Object)
	}
}

// comparesBytes reports whether a violation is of a rule that compares fields which it does not know, or their owners, byte for byte.
func comparesBytes(v policy.PolicyViolation) bool {
	return strings.HasSuffix(string(v.Rule), "-unknown-fields") || strings.HasSuffix(string(v.Rule), "-managed-fields")
}

// respelled writes each part of an object differently: with a space in it, or the first letter of a string as an escape.
func respelled(object []byte) ([]byte, error) {
	var sections map[string]json.RawMessage
	if err := json.Unmarshal(object, &sections); err != nil {
		return nil, err
	}
	var members []string
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		value := string(sections[section])
		var parts map[string]json.RawMessage
		if json.Unmarshal(sections[section], &parts) == nil && parts != nil {
			var inner []string
			for _, name := range slices.Sorted(maps.Keys(parts)) {
				inner = append(inner, fmt.Sprintf("%q:%s", name, respelledValue(string(parts[name]))))
			}
			value = "{" + strings.Join(inner, ",") + "}"
		}
		members = append(members, fmt.Sprintf("%q:%s", section, value))
	}
	return []byte("{" + strings.Join(members, ",") + "}"), nil
}

func respelledValue(value string) string {
	switch c := value[0]; {
	case c == '{' || c == '[':
		return value[:1] + " " + value[1:]
	case c == '"' && value[1] < 0x80 && value[1] != '\\' && value[1] != '"':
		return fmt.Sprintf(`"\u%04x`, value[1]) + value[2:]
	}
	return value
}

func TestWiderListNeverAddsAViolation(t *testing.T) {
	fixtures := allFixtures(t)
	rapid.Check(t, func(t *rapid.T) {
		r, specs := drawRequest(t, fixtures), drawSpecs(t, fixtures)
		before := policy.NewSet(compileAll(t, specs)...).Evaluate(r)
		for i := range specs {
			widen(t, &specs[i])
		}
		after := policy.NewSet(compileAll(t, specs)...).Evaluate(r)
		if len(after.Violations) > len(before.Violations) {
			t.Errorf("wider lists turn %v into %v", before.Violations, after.Violations)
		}
	})
}

// widen adds a pattern to each list named allowed that has entries already: an empty list has a meaning of its own.
func widen(t *rapid.T, spec *v1alpha1.NodeRestrictionPolicySpec) {
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	pattern := rapid.SampledFrom([]string{"*", "example.com/*", "z*", "*a*", "*=b*", "example.com/rack="}).Draw(t, "pattern")
	widenTree(tree, pattern)
	data, err = json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	*spec = v1alpha1.NodeRestrictionPolicySpec{}
	if err := json.Unmarshal(data, spec); err != nil {
		t.Fatal(err)
	}
}

func widenTree(tree map[string]any, pattern string) {
	for name, value := range tree {
		switch value := value.(type) {
		case map[string]any:
			widenTree(value, pattern)
		case []any:
			if _, isText := value[0].(string); isText && name == "allowed" &&
				!slices.Contains(value, any(pattern)) {
				tree[name] = append(value, pattern)
			}
		}
	}
}

// FuzzEvaluate evaluates arbitrary objects under every rule of strict.yaml: it must not panic, and what it says must be bounded.
func FuzzEvaluate(f *testing.F) {
	for _, fixture := range allFixtures(f) {
		f.Add(string(fixture.Request.Operation), fixture.Request.Resource, fixture.Request.Subresource,
			fixture.Request.OldObject, fixture.Request.Object)
	}
	set := newPresetSet(f, "../../config/policies/strict.yaml")
	agents := policy.NewSet(compileSections(f, []string{
		"nodes: {self: {}, labels: {}, taints: {}, addresses: {}, capacity: {}, extendedResources: {}, images: {}, info: {}}",
		"pods: {self: {}, metadata: {}, spec: {}, conditions: {}, ips: {}, phase: {}, containers: {}}",
		"objects: [{resource: configmaps, node: metadata.name}, {resource: configmaps, node: data.node}]",
	})...)
	f.Fuzz(func(t *testing.T, operation, resource, subresource string, old, object []byte) {
		r := &policy.Request{
			NodeName: "n1", Write: policy.Write{
				Name: "n1", Operation: admissionv1.Operation(operation), Resource: resource,
				Subresource: subresource, OldObject: old, Object: object,
			},
		}
		compareSpellings(t, set, *r)
		agent := *r
		agent.Subject = cni()
		if message := agents.Evaluate(&agent).Message(); len(message) > 1024 {
			t.Errorf("the message to a node agent has %d bytes", len(message))
		}
		if message := set.Evaluate(r).Message(); len(message) > 1024 {
			t.Errorf("the message has %d bytes", len(message))
		}
	})
}
