// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// TestPresetsCompile checks each preset, and that strict.yaml has every rule but those that only the baseline has.
func TestPresetsCompile(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"../../config/policies/*.yaml", "../../config/policies/profiles/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) < 2 {
		t.Fatalf("found only %v", paths)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		policies, err := manifest.Policies(data)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, p := range policies {
			compiled, errs := rules.NewCompiler().Compile(p)
			if len(errs) > 0 {
				t.Errorf("%s: %v", path, errs.ToAggregate())
			}
			if warnings := rules.NewCompiler().Warnings(p); len(warnings) > 0 {
				t.Errorf("%s: %v", path, warnings)
			}
			if filepath.Base(path) == "strict.yaml" {
				checkComplete(t, compiled)
			}
		}
	}
}

func checkComplete(t *testing.T, strict *policy.Policy) {
	for _, rule := range rules.All() {
		if !rule.OptIn && !slices.Contains(strict.Rules(), rule.ID) {
			t.Errorf("strict.yaml does not turn on rule %s", rule.ID)
		}
	}
}

func newPresetSet(t testing.TB, path string) *policy.Set {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	policies, err := manifest.Policies(data)
	if err != nil {
		t.Fatal(err)
	}
	compiled, errs := rules.NewCompiler().Compile(policies[0])
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return policy.NewSet(compiled)
}
