// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFilesAreCurrent checks that the chart's copies of files in config are current: a chart cannot read files outside its directory.
func TestFilesAreCurrent(t *testing.T) {
	for name, source := range map[string]string{
		"policies/recommended.yaml": "policies/recommended.yaml",
		"policies/strict.yaml":      "policies/strict.yaml",
		"alerts.yaml":               "alerts/node-restriction-plus.rules.yaml",
		"dashboard.json":            "dashboards/node-restriction-plus.json",
	} {
		compareWithSource(t, name, source)
	}
	distributions, err := filepath.Glob("../config/policies/profiles/*.yaml")
	if err != nil || len(distributions) == 0 {
		t.Fatal("there are no policies for distributions", err)
	}
	for _, path := range distributions {
		compareWithSource(t, "policies/distributions/"+filepath.Base(path), "policies/profiles/"+filepath.Base(path))
	}
}

func compareWithSource(t *testing.T, name, source string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../config", source))
	if err != nil {
		t.Fatal(err)
	}
	compareFile(t, filepath.Join(chart, "files", name), data)
}
