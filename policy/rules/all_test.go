// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

var update = flag.Bool("update", false, "rewrite what fixtures want")

// TestRules checks that each rule is documented, lives in the file of its name and has fixtures for both verdicts, that each
// fixture belongs to a rule, and runs them all.
func TestRules(t *testing.T) {
	ids := map[string]bool{}
	for _, rule := range rules.All() {
		id := string(rule.ID)
		if ids[id] {
			t.Errorf("rule %s is listed twice", id)
		}
		ids[id] = true
		checkDocumented(t, rule)
		checkFile(t, id)
		for _, verdict := range []string{"allow", "deny"} {
			paths, err := filepath.Glob(filepath.Join("testdata", id, verdict, "*.txtar"))
			if err != nil || len(paths) == 0 {
				t.Errorf("rule %s has no %s fixture in testdata/%s/%s", id, verdict, id, verdict)
			}
			for _, path := range paths {
				t.Run(strings.TrimSuffix(filepath.ToSlash(path[len("testdata/"):]), ".txtar"), func(t *testing.T) {
					runFixture(t, path, verdict)
				})
			}
		}
	}
	checkStrays(t, ids)
}

func checkDocumented(t *testing.T, rule policy.Rule) {
	d := rule.Doc
	for name, text := range map[string]string{
		"Title": d.Title, "Text": d.Text, "Kubelet": d.Kubelet, "Attack": d.Attack, "Spec": d.Spec, "Since": d.Since,
		"Source": d.Source, "Fields": strings.Join(d.Fields, ""),
	} {
		if text == "" {
			t.Errorf("rule %s is undocumented: Doc.%s is empty", rule.ID, name)
		}
	}
	if strings.HasSuffix(d.Title, ".") {
		t.Errorf("rule %s: Doc.Title ends in a period", rule.ID)
	}
	if len(rule.Targets) == 0 {
		t.Errorf("rule %s has no Targets", rule.ID)
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
	"all.go", "audiences.go", "changes.go", "doc.go", "kubelet_keys.go", "lookups.go", "managed_fields.go", "other_objects.go",
	"ownership.go", "plugin.go", "reach.go", "references.go", "targets.go", "unknown_fields.go", "warnings.go",
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
		if entry.IsDir() && !ids[entry.Name()] && entry.Name() != "set" && entry.Name() != "unverified" && entry.Name() != "fuzz" {
			t.Errorf("testdata/%s: no rule with this ID", entry.Name())
		}
	}
}

func runFixture(t *testing.T, path, verdict string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fixture.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Run(rules.NewCompiler())
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

// TestSetFixtures runs the fixtures about several policies, matching and look-ups, and about what cannot be evaluated.
func TestSetFixtures(t *testing.T) {
	for _, folder := range []string{"set", "unverified"} {
		paths, err := filepath.Glob("testdata/" + folder + "/*/*.txtar")
		if err != nil || len(paths) == 0 {
			t.Fatalf("no fixtures in testdata/%s: %v", folder, err)
		}
		for _, path := range paths {
			verdict := filepath.Base(filepath.Dir(path))
			t.Run(folder+"/"+verdict+"/"+strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
				runFixture(t, path, verdict)
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
			if !slices.ContainsFunc(rule.Targets, func(target policy.Target) bool { return target.Matches(&f.Request) }) {
				t.Errorf("%s: the rule does not look at such a write", path)
			}
		}
	}
}
