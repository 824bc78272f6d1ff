// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/commandtest"
	"noderestriction.plus/internal/docs"
)

var update = flag.Bool("update", false, "rewrite generated pages and the files with which scripts compare output")

func root() *cobra.Command { return command.Server(Command()) }

func TestMain(m *testing.M) { commandtest.Main(m, root) }

// TestScripts runs what a user could type.
func TestScripts(t *testing.T) { commandtest.Scripts(t, *update) }

// TestPagesAreCurrent compares the page of the command with it, and docs/metrics.md with the metrics; -update rewrites
// them.
func TestPagesAreCurrent(t *testing.T) {
	commandtest.Pages(t, root(), *update)
	path := filepath.Join("..", "..", "docs", "metrics.md")
	want, err := docs.Metrics(wiredMetrics(t))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not current: run make generate", path)
	}
}

func TestHelpFitsATerminal(t *testing.T) { commandtest.Help(t, root()) }

// TestEveryFlagErrorIsScripted finds flags whose error is in no script.
func TestEveryFlagErrorIsScripted(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("testdata", "serve-errors.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	Command().Flags().VisitAll(func(f *pflag.Flag) {
		scripted := regexp.MustCompile(`(?m)^stderr '\^node-restriction-plus: (invalid argument .* for "|)--` + f.Name + `[":]`)
		if !scripted.Match(script) {
			t.Errorf("serve-errors.txtar has no error of --%s", f.Name)
		}
	})
}
