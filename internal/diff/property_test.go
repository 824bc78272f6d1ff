// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// pool has the values of each field in the fixtures' policies.
type pool map[string][]reflect.Value

// visit calls a function with each field and section of a policy.
func visit(v reflect.Value, path string, each func(path string, v reflect.Value)) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		at, field := path+"."+name, v.Field(i)
		switch {
		case field.Kind() == reflect.Struct:
			visit(field, at, each)
			continue
		case field.Kind() == reflect.Pointer && field.Type() != reflect.TypeFor[*metav1.LabelSelector]() && !field.IsNil():
			visit(field.Elem(), at, each)
		}
		each(at, field)
	}
}

// mutate changes some fields of a policy to other values, or to none.
func (p pool) mutate(random *rand.Rand, s *spec) *spec {
	for range 1 + random.IntN(2) {
		s = s.DeepCopy()
		var paths []string
		var fields []reflect.Value
		visit(reflect.ValueOf(s).Elem(), "spec", func(path string, v reflect.Value) {
			// Most of the mutations are within the sections of the policy.
			if path != "spec.validationActions" && (!v.IsZero() || strings.Count(path, ".") > 2 || random.IntN(20) == 0) {
				paths, fields = append(paths, path), append(fields, v)
			}
		})
		if len(paths) == 0 {
			return s
		}
		i := random.IntN(len(paths))
		v, values := fields[i], p[paths[i]]
		switch {
		case v.Kind() == reflect.Slice && v.Len() > 0 && random.IntN(3) == 0: // without an element
			n := random.IntN(v.Len())
			v.Set(reflect.AppendSlice(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v.Slice(0, n)), v.Slice(n+1, v.Len())))
		case v.Kind() == reflect.Slice && len(values) > 0 && random.IntN(2) == 0: // with another element
			other := values[random.IntN(len(values))]
			v.Set(reflect.Append(v, other.Index(random.IntN(other.Len()))))
		case len(values) > 0 && random.IntN(4) > 0:
			v.Set(values[random.IntN(len(values))])
		default:
			v.SetZero()
		}
	}
	return s.DeepCopy()
}

// TestEffectsAgreeWithTheRules changes the policies of all fixtures at random, and compares what the rules say of the fixtures' writes:
// if no change is narrower, no write newly violates the policy, and if none is wider, none newly passes.
func TestEffectsAgreeWithTheRules(t *testing.T) {
	const mutations = 4 // of each fixture
	compiler, values := rules.NewCompiler(), pool{}
	byRule := map[string][]*fixture.Fixture{}
	paths, err := filepath.Glob(filepath.Join("..", "..", "policy", "rules", "testdata", "*", "*", "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d fixtures: %v", len(paths), err)
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
		rule := filepath.Base(filepath.Dir(filepath.Dir(path)))
		byRule[rule] = append(byRule[rule], f)
		for _, p := range f.Policies {
			visit(reflect.ValueOf(&p.Spec).Elem(), "spec", func(path string, v reflect.Value) {
				if !v.IsZero() {
					values[path] = append(values[path], v)
				}
			})
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	compared := map[Effect]int{}
	for rule, fixtures := range byRule {
		for _, f := range fixtures {
			if len(f.Policies) == 0 {
				continue
			}
			for range mutations {
				old := f.Policies[0]
				if random.IntN(2) == 0 {
					old = &v1alpha1.NodeRestrictionPolicy{ObjectMeta: old.ObjectMeta, Spec: *values.mutate(random, &old.Spec)}
				}
				updated := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: old.ObjectMeta, Spec: *values.mutate(random, &old.Spec)}
				before, errs := compiler.Compile(old)
				after, bad := compiler.Compile(updated)
				if len(errs)+len(bad) > 0 {
					continue
				}
				effect := Same
				changes := Compare(&old.Spec, &updated.Spec)
				for _, c := range changes {
					effect |= c.Effect
				}
				compared[effect]++
				if effect == Both {
					continue
				}
				for _, write := range fixtures {
					was, is := violates(t, write, before), violates(t, write, after)
					if !was && is && effect&Narrower == 0 || was && !is && effect&Wider == 0 {
						t.Fatalf("%s, %s: violated before %t, after %t, but the change is %s: %+v\n%s\n%s", rule, write.Comment, was, is, effect,
							changes, inYAML(old), inYAML(updated))
					}
				}
			}
		}
	}
	if compared[Narrower] < 500 || compared[Wider] < 150 || compared[Same] < 100 {
		t.Errorf("too few changes of an effect: %v", compared)
	}
}

func violates(t *testing.T, f *fixture.Fixture, p *policy.Policy) bool {
	t.Helper()
	d, err := f.Evaluate(policy.NewSet(p))
	if err != nil {
		t.Fatal(err)
	}
	return len(d.Violations) > 0
}

func inYAML(p *v1alpha1.NodeRestrictionPolicy) string {
	data, _ := yaml.Marshal(p.Spec)
	return string(data)
}

// TestContainmentAgreesWithStrings draws patterns and strings: a string of a pattern that is covered is matched by what covers it, and a
// pattern that is not covered has a string that is not matched.
func TestContainmentAgreesWithStrings(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	draw := func(alphabet string, most int) string {
		var b strings.Builder
		for range 1 + random.IntN(most) {
			b.WriteByte(alphabet[random.IntN(len(alphabet))])
		}
		return b.String()
	}
	strs, covered := 0, 0
	for strs < 200_000 {
		var whole []v1alpha1.Pattern
		for range 1 + random.IntN(3) {
			whole = append(whole, v1alpha1.Pattern(draw("ab**", 5)))
		}
		p := v1alpha1.Pattern(draw("ab**", 6))
		covers := patterns().covers(whole)(p)
		matches := func(s string) bool { return patterns().covers(whole)(v1alpha1.Pattern(s)) } // a string without wildcards
		for range 10 {
			var s strings.Builder
			for _, c := range string(p) {
				if c != '*' {
					s.WriteRune(c)
				} else if random.IntN(3) > 0 {
					s.WriteString(draw("ab", 4))
				}
			}
			strs++
			if covers && !matches(s.String()) {
				t.Fatalf("%q is said to be in %q, but %q is not", p, whole, s.String())
			}
		}
		if witness := strings.ReplaceAll(string(p), "*", "~"); !covers && matches(witness) {
			t.Fatalf("%q is said not to be in %q, but %q is", p, whole, witness)
		}
		if covers {
			covered++
		}
	}
	if covered < 1000 {
		t.Errorf("only %d patterns are covered", covered)
	}
}
