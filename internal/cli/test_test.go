// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"noderestriction.plus/policy/rules"
)

// TestTheFixtureInTheHelpPasses runs the fixture that the help of the command test shows.
func TestTheFixtureInTheHelpPasses(t *testing.T) {
	var shown strings.Builder
	for line := range strings.Lines(testCommand().Long) {
		if line == "\n" || strings.HasPrefix(line, "  ") {
			shown.WriteString(strings.TrimPrefix(line, "  "))
		}
	}
	file := filepath.Join(t.TempDir(), "help.txtar")
	if err := os.WriteFile(file, []byte(shown.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	o := testOptions{compiler: rules.NewCompiler()}
	if result := o.runFixture(file, nil); result.Result != passed {
		t.Errorf("%s: %s\n%s\ngot  %s\nwant %s", result.Result, result.Error, shown.String(), result.Got, result.Want)
	}
}
