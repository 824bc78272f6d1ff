// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"os"
	"strings"
	"testing"
)

// TestDistributionsAreDocumented compares the table of distributions with the page.
func TestDistributionsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/authorizer.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(data), "\n## Where it can be used\n")
	table, _, found := strings.Cut(table, "\n## ")
	if !found {
		t.Fatal("the page has no table of distributions")
	}
	for _, d := range Distributions() {
		if d.Unusable == "" && !strings.Contains(table, "`"+d.Name+"`") || d.Unusable != "" && !strings.Contains(strings.ToLower(table), d.Name) {
			t.Errorf("%s is not in the table", d.Name)
		}
		if source, _, _ := strings.Cut(d.Source, ","); strings.Contains(source, "@") && !strings.Contains(table, source) {
			t.Errorf("the source of %s is not in the table: %s", d.Name, source)
		}
		for _, p := range d.Kept {
			for _, name := range p.Names {
				if !strings.Contains(table, "`"+name+"`") {
					t.Errorf("the table does not say that %s keeps %s", d.Name, name)
				}
			}
		}
	}
}
