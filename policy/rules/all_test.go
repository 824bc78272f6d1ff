// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/apidoc"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

var update = flag.Bool("update", false, "rewrite what fixtures want")

// TestRules checks that each rule is documented, lives in the file of its name and has fixtures for both verdicts, that each
// fixture belongs to a rule, and runs them all.
func TestRules(t *testing.T) {
	compiler, err := policy.NewCompiler(rules.All())
	if err != nil {
		t.Error(err)
	}
	reference, err := apidoc.Read()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, rule := range rules.All() {
		id := string(rule.ID)
		ids[id] = true
		checkSection(t, rule, reference)
		checkFile(t, id)
		for _, verdict := range []string{"allow", "deny"} {
			paths, err := filepath.Glob(filepath.Join("testdata", id, verdict, "*.txtar"))
			if err != nil || len(paths) == 0 {
				t.Errorf("rule %s has no %s fixture in testdata/%s/%s", id, verdict, id, verdict)
			}
			for _, path := range paths {
				t.Run(strings.TrimSuffix(filepath.ToSlash(path[len("testdata/"):]), ".txtar"), func(t *testing.T) {
					runFixture(t, path, verdict, compiler)
				})
			}
		}
	}
	checkStrays(t, ids)
}

// checkSection checks what the API says about the section of a rule, as far as it is generated.
func checkSection(t *testing.T, rule policy.Rule, reference *apidoc.Reference) {
	section := reference.Find(rule.Doc.Spec)
	switch {
	case rule.Doc.Spec == "":
		return // the compiler says so
	case section == nil:
		t.Errorf("rule %s: the CRD has no %s: add it to api/v1alpha1, and run make generate", rule.ID, rule.Doc.Spec)
		return
	case !strings.HasSuffix(section.Text, "."):
		t.Errorf("rule %s: the comment of %s in api/v1alpha1 must say in sentences what the section restricts: %q",
			rule.ID, rule.Doc.Spec, section.Text)
	}
	if !strings.HasPrefix(section.Omitted, "Omitted") || !strings.HasSuffix(section.Omitted, ".") {
		t.Errorf("rule %s: the comment of %s in api/v1alpha1 must end in what omission and {} mean: %q",
			rule.ID, rule.Doc.Spec, section.Omitted)
	}
}

func checkFile(t *testing.T, id string) {
	name := strings.ReplaceAll(id, "-", "_") + ".go"
	source, err := os.ReadFile(name)
	if err != nil || !strings.Contains(string(source), `"`+id+`"`) {
		t.Errorf("rule %s is not in %s", id, name)
	}
}

// vocabulary are the files that rules share. Each other file is a rule's.
var vocabulary = []string{
	"agents.go", "all.go", "audiences.go", "changes.go", "doc.go", "expressions.go", "kubelet_keys.go", "lookups.go", "managed_fields.go", "other_objects.go",
	"ownership.go", "ownership_created.go", "plugin.go", "reach.go", "references.go", "targets.go", "unknown_fields.go", "warnings.go",
}

// checkStrays fails for files and fixtures that belong to no rule.
func checkStrays(t *testing.T, ids map[string]bool) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		id := strings.ReplaceAll(strings.TrimSuffix(file, ".go"), "_", "-")
		if !ids[id] && !strings.HasSuffix(file, "_test.go") && !slices.Contains(vocabulary, file) {
			t.Errorf("%s: no rule with the ID %s is listed in all.go", file, id)
		}
	}
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() && !ids[entry.Name()] && !slices.Contains(otherFixtures(), entry.Name()) && entry.Name() != "fuzz" {
			t.Errorf("testdata/%s: no rule with this ID", entry.Name())
		}
	}
}

// runFixture runs a fixture. Without a compiler, because the rules are not valid, it only reads it.
func runFixture(t *testing.T, path, verdict string, compiler *policy.Compiler) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fixture.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if compiler == nil {
		return
	}
	got, err := f.Run(compiler)
	if err != nil {
		t.Fatal(err)
	}
	if denied := got != fixture.Allowed; denied != (verdict == "deny") {
		t.Fatalf("%s\ngot  %s\nwant the verdict %s", f.Comment, got, verdict)
	}
	if *update && got != f.Want {
		if err := os.WriteFile(path, f.WithWant(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != f.Want {
		t.Errorf("%s\ngot  %s\nwant %s", f.Comment, got, f.Want)
	}
}

// otherFixtures are the directories of fixtures that are not of one rule: about several policies, matching and lookups, about what cannot be
// evaluated, and about node agents.
func otherFixtures() []string { return []string{"set", "unverified", "agents"} }

// TestSetFixtures runs the fixtures that are not of one rule.
func TestSetFixtures(t *testing.T) {
	for _, directory := range otherFixtures() {
		paths, err := filepath.Glob("testdata/" + directory + "/*/*.txtar")
		if err != nil || len(paths) == 0 {
			t.Fatalf("no fixtures in testdata/%s: %v", directory, err)
		}
		for _, path := range paths {
			verdict := filepath.Base(filepath.Dir(path))
			t.Run(directory+"/"+verdict+"/"+strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
				runFixture(t, path, verdict, rules.NewCompiler())
			})
		}
	}
}

// TestFixturesNameTheirRule fails if the only policy of a deny fixture is denied by another rule than the fixture's.
func TestFixturesNameTheirRule(t *testing.T) {
	for _, rule := range rules.All() {
		paths, _ := filepath.Glob(filepath.Join("testdata", string(rule.ID), "deny", "*.txtar"))
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := fixture.Parse(data)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if !strings.Contains(f.Want, ": "+rule.ID.Reason()+" (") {
				t.Errorf("%s: the message does not name %q: %s", path, rule.ID.Reason(), f.Want)
			}
			if !slices.ContainsFunc(rule.TargetsUnder(&f.Policies[0].Spec), func(target policy.Target) bool { return target.Matches(&f.Request) }) {
				t.Errorf("%s: the rule does not look at such a write", path)
			}
		}
	}
}

// TestDocumentedFieldsExist fails for a misspelt field of a rule about Nodes or pods.
func TestDocumentedFieldsExist(t *testing.T) {
	for _, rule := range rules.All() {
		targets := slices.Concat(rule.Targets, rule.Agents.Targets)
		if len(targets) == 0 {
			continue // the objects that a policy names
		}
		object := map[string]reflect.Type{"nodes": reflect.TypeFor[corev1.Node](), "pods": reflect.TypeFor[corev1.Pod]()}[targets[0].Resource]
		for _, path := range rule.Doc.Fields {
			if object != nil && !hasField(object, strings.Split(path, ".")) {
				t.Errorf("rule %s: Doc.Fields has %q, which is not in %s", rule.ID, path, object)
			}
		}
	}
}

// TestStrictestSectionTurnsTheRuleOn fails for a section that is not valid, or that turns another rule on.
func TestStrictestSectionTurnsTheRuleOn(t *testing.T) {
	for _, rule := range rules.All() {
		spec := rule.CEL.Strictest
		path := strings.Split(rule.Doc.Spec, ".")
		for _, name := range slices.Backward(path[1:]) {
			spec = `{"` + name + `":` + spec + `}`
		}
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
			t.Errorf("rule %s: %s: %v", rule.ID, spec, err)
			continue
		}
		p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
		p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{"*"}}
		if !rule.ForKubelets() {
			p.Spec.Subjects = &v1alpha1.Subjects{ServiceAccounts: []v1alpha1.ServiceAccount{{Namespace: "a", Name: "b"}}}
		}
		compiled, errs := rules.NewCompiler().Compile(p)
		if len(errs) > 0 || !slices.Contains(compiled.Rules(), rule.ID) {
			t.Errorf("rule %s: %s turns on %v: %v", rule.ID, spec, compiled.Rules(), errs.ToAggregate())
		}
	}
}

// hasField reports whether a path of JSON names leads to a field of a struct.
func hasField(of reflect.Type, path []string) bool {
	if len(path) == 0 {
		return true
	}
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return false
	}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if name == path[0] && hasField(of.Field(i).Type, path[1:]) {
			return true
		}
	}
	return false
}
