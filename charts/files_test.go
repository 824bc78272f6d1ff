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
	names := distributions(t)
	for _, name := range names {
		file := "policies/distributions/" + name + ".yaml"
		compareWithSource(t, file, file)
	}
	copies, err := filepath.Glob(filepath.Join(chart, "files/policies/distributions/*"))
	if err != nil || len(copies) != len(names) {
		t.Errorf("the chart has the distributions %v, config has %v: %v", copies, names, err)
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
