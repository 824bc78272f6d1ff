// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"noderestriction.plus/internal/apidoc"
	"noderestriction.plus/internal/docs"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/internal/knowngrants"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

var update = flag.Bool("update", false, "rewrite the generated pages")

// rulesFile has the alerts.
const rulesFile = "../../config/alerts/node-restriction-plus.rules.yaml"

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func alerts(t *testing.T) []docs.Alert {
	t.Helper()
	all, err := docs.Alerts(read(t, rulesFile))
	if err != nil || len(all) == 0 {
		t.Fatalf("%d alerts: %v", len(all), err)
	}
	return all
}

// examples are the denied writes that are marked as such.
func examples(t *testing.T) map[policy.RuleID]docs.Example {
	t.Helper()
	marked := map[policy.RuleID]docs.Example{}
	for _, rule := range rules.All() {
		paths, err := filepath.Glob(filepath.Join("../../policy/rules/testdata", string(rule.ID), "deny", "*.txtar"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d fixtures: %v", rule.ID, len(paths), err)
		}
		for _, path := range paths {
			data := read(t, path)
			f, err := fixture.Parse(data)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if f.Example {
				marked[rule.ID] = docs.Example{Title: f.Comment, Policy: policyOf(data), Denial: f.Want}
			}
		}
	}
	return marked
}

// policyOf returns the spec of a fixture's policy as it is written, with the actions that a fixture may omit.
func policyOf(data []byte) string {
	for _, file := range txtar.Parse(data).Files {
		if file.Name != "policy.yaml" {
			continue
		}
		spec := string(file.Data)
		if !strings.Contains(spec, "validationActions") {
			spec = "validationActions: [Deny]\n" + spec
		}
		return spec
	}
	return ""
}

// tables returns the table of each known release.
func tables(t *testing.T) []*nodeauthorizer.Table {
	t.Helper()
	var all []*nodeauthorizer.Table
	for minor := nodeauthorizer.Oldest; minor <= nodeauthorizer.Newest; minor++ {
		table, err := nodeauthorizer.New(minor, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, table)
	}
	return all
}

func TestPagesAreCurrent(t *testing.T) {
	reference, err := apidoc.Read()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"../../docs/rules.md":                            docs.Rules(rules.All(), examples(t), reference),
		"../../docs/api.md":                              docs.API(reference),
		"../../docs/node-authorizer.md":                  docs.NodeAuthorizer(tables(t), knowngrants.Grants()),
		"../../docs/runbooks/README.md":                  docs.Runbooks(alerts(t)),
		"../../config/alerts/node-restriction-plus.yaml": docs.PrometheusRule(read(t, rulesFile)),
	} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if string(read(t, path)) != want {
			t.Errorf("%s is not current: run make generate", path)
		}
	}
}

func TestEveryAlertSaysWhatItMeansAndHasAPage(t *testing.T) {
	for _, a := range alerts(t) {
		if s := a.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", a.Name, s)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s: summary and description must be set", a.Name)
		}
		if want, got := docs.RunbookURL+a.Name+".md", a.Annotations["runbook_url"]; got != want {
			t.Errorf("%s: runbook_url is %q, want %q", a.Name, got, want)
		}
		text := string(read(t, filepath.Join("../../docs/runbooks", a.Name+".md")))
		for _, part := range []string{"# " + a.Name, "## Meaning", "## Impact", "## Diagnosis", "## Mitigation", "## Resolution"} {
			if !strings.Contains(text, part+"\n") {
				t.Errorf("%s.md has no line %q", a.Name, part)
			}
		}
	}
}

func TestEveryRunbookHasAnAlert(t *testing.T) {
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil || len(pages) < 2 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		is := func(a docs.Alert) bool { return a.Name == name }
		if name != "README" && !slices.ContainsFunc(alerts(t), is) {
			t.Errorf("%s: no alert has this name", page)
		}
	}
}
