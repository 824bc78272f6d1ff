// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/doctor/checks"
)

// page is the page whose end, after a mark, is generated from the checks.
const (
	page = "../../docs/doctor.md"
	mark = "<!-- Generated from the checks by go test ./internal/doctor -update. -->\n"
)

// TestPageIsCurrent compares the page with the checks; -update rewrites it.
func TestPageIsCurrent(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	written, generated, found := strings.Cut(string(data), mark)
	if !found {
		t.Fatalf("%s lacks the line %s", page, mark)
	}
	want := render()
	if generated == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not current; -update rewrites it", page)
	}
	if err := os.WriteFile(page, []byte(written+mark+want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func render() string {
	var b strings.Builder
	b.WriteString("\n| check | severity | the worst verdict | it is ok if the answer is as intended |\n|---|---|---|---|\n")
	for _, c := range checks.All() {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s | %s |\n", c.ID, c.ID, c.Severity, c.Worst, c.Asks)
	}
	for _, c := range checks.All() {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\nAn attacker %s.\n\n%s\n", c.ID, c.Asks, c.Gain, command.Wrap(c.How, "", lineWidth))
		needs := "It needs"
		for i := range c.Needs {
			separator := ", "
			if i == 0 {
				separator = " "
			}
			needs += separator + "`" + c.Needs[i].String() + "`"
		}
		b.WriteString(command.Wrap(needs+".", "", lineWidth))
	}
	return b.String()
}
