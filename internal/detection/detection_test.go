// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package detection

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const shipped = "../../config/detection"

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// shippedRules returns the rules of both languages.
func shippedRules(t *testing.T) (falco, sigma []Rule) {
	t.Helper()
	falco, err := Falco(read(t, filepath.Join(shipped, "falco", "node-restriction-plus.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(shipped, "sigma", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		rule, err := Sigma(read(t, path))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		sigma = append(sigma, rule)
	}
	return falco, sigma
}

func TestEachRuleFiresForItsEventsAndNoOthers(t *testing.T) {
	falco, sigma := shippedRules(t)
	fired := map[string]bool{}
	for _, c := range Cases() {
		event, err := ParseEvent(read(t, filepath.Join("testdata", c.Name+".json")))
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		check := func(rules []Rule, want string) {
			for _, rule := range rules {
				got := rule.Matches(event)
				if got != (rule.Name == want) {
					t.Errorf("%s: %q fires: %t", c.Name, rule.Name, got)
				}
				fired[rule.Name] = fired[rule.Name] || got
			}
		}
		check(falco, c.Falco)
		check(sigma, c.Sigma)
	}
	if len(falco) != len(sigma) {
		t.Errorf("%d rules of Falco, %d of Sigma", len(falco), len(sigma))
	}
	for _, rule := range append(falco, sigma...) {
		if !fired[rule.Name] {
			t.Errorf("%q never fires", rule.Name)
		}
	}
}

// TestWhatIsNotUnderstoodIsAnError shows that no part of a rule is passed over.
func TestWhatIsNotUnderstoodIsAnError(t *testing.T) {
	valid := string(read(t, filepath.Join(shipped, "sigma", "kubernetes_audit_node_restriction_plus_policy.yml")))
	for change, says := range map[[2]string]string{
		{"condition: selection", "condition: selections"}:    "unknown search",
		{"not 1 of filter_*", "not 1 of other_*"}:            "there is no search",
		{"not 1 of", "not 2 of"}:                             "unknown search",
		{"|lt:", "|cidr:"}:                                   "unknown modifier",
		{"dryRun=", "'dry*'"}:                                "has a wildcard",
		{"level: medium", "level: some"}:                     "level",
		{"level:", "levels:"}:                                "unknown field",
		{"condition: selection and", "condition: selection"}: "unexpected",
	} {
		text := strings.Replace(valid, change[0], change[1], 1)
		if text == valid {
			t.Errorf("%q is not in the rule", change[0])
		}
		if _, err := Sigma([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("Sigma, %q instead of %q: %v, want %q", change[1], change[0], err, says)
		}
	}
	for text, says := range map[string]string{
		`ka.user.names = "a"`:               "unknown field or macro",
		`other_macro`:                       "unknown field or macro",
		`ka.verb regex "a"`:                 "unknown operator",
		`ka.verb in create`:                 "in needs a list",
		`ka.verb in (create`:                "a list is not closed",
		`(ka.verb = create`:                 "is not closed",
		`ka.verb = create ka.verb = delete`: "unexpected",
	} {
		if _, err := Falco([]byte("- macro: m\n  condition: '" + text + "'\n")); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("Falco, %s: %v, want %q", text, err, says)
		}
	}
	rule := "{rule: r, condition: ka.verb = a, desc: d, output: '%ka.verbs', source: k8s_audit, priority: ERROR, tags: [k8s]}"
	if _, err := Falco([]byte("- " + rule)); err == nil || !strings.Contains(err.Error(), "ka.verbs") {
		t.Errorf("Falco: an output with an unknown field: %v", err)
	}
}

func TestConditions(t *testing.T) {
	event, err := ParseEvent([]byte(`{"auditID":"1","verb":"patch","requestURI":"/a?dryRun=All","annotations":{"a.b/c":"denied"},` +
		`"user":{"username":"U"},"responseStatus":{"code":403}}`))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`ka.verb = "patch"`:                                     true,
		`ka.verb = patch and ka.user.name = u`:                  false, // upper and lower case differ
		`ka.verb in (create, "patch")`:                          true,
		`not ka.verb in (create, "patch")`:                      false,
		`ka.target.name startswith "a"`:                         false, // it is not there
		`not ka.target.name startswith "a"`:                     true,
		`ka.target.name exists or ka.uri.param[dryRun] exists`:  true,
		`ka.response.code startswith "4"`:                       true,
		`jevt.value[/annotations/a.b~1c] = "denied"`:            true,
		`jevt.value[/annotations/a.b~1d] exists`:                false,
		`jevt.obj contains "a.b/c"`:                             true,
		`ka.verb = a or ka.verb = patch and ka.user.name = U`:   true,
		`(ka.verb = patch or ka.verb = a) and ka.user.name = V`: false,
	} {
		c := condition{tokens: split(text), leaf: rules{}.check}
		m, err := c.parse()
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := m(event); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
	// Sigma does not distinguish upper and lower case.
	for key, values := range map[string]map[string]bool{
		"user.username":                {"u": true, "v": false},
		"responseStatus.code|gte":      {"403": true, "404": false},
		"annotations.a.b/c|startswith": {"Den": true, "enied": false},
		"requestURI|contains":          {"dryrun=": true, "dryruns": false},
		"objectRef.name":               {"": false},
	} {
		for value, want := range values {
			m, err := entry(key, value)
			if err != nil {
				t.Errorf("%s: %v", key, err)
				continue
			}
			if got := m(event); got != want {
				t.Errorf("%s: %q: %t", key, value, got)
			}
		}
	}
}
