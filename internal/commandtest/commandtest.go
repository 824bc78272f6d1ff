// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package commandtest tests commands as a user types them: by scripts that run the program, and by what help and pages say.
package commandtest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/docs"
)

// HelpWidth is the maximum width of a line of help, in columns.
const HelpWidth = 120

// Main runs the tests of a package in which a program is one of the programs that tests can execute.
func Main(m *testing.M, root func() *cobra.Command) {
	MainFunc(m, root().Name(), func() { os.Exit(command.Run(root())) })
}

// MainFunc is [Main] for a program with a function main of its own.
func MainFunc(m *testing.M, name string, main func()) {
	testscript.Main(m, map[string]func(){name: main})
}

// Scripts runs the scripts in testdata. In addition to the commands of testscript there is "exits CODE PROGRAM ARG...",
// which is exec with a wanted exit code. With update it rewrites the files with which scripts compare output.
func Scripts(t *testing.T, update bool) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		UpdateScripts:       update,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// Pages compares the pages in docs/cli with the commands of a program. With update it rewrites them.
func Pages(t *testing.T, root *cobra.Command, update bool) {
	t.Helper()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" || cmd.Name() == "help" { // cobra documents them
			continue
		}
		page, want := filepath.Join("..", "..", "docs", "cli", root.Name(), cmd.Name()+".md"), docs.Command(cmd)
		if update {
			if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not current: run make generate", page)
		}
	}
}

// Help checks that no line of the commands' help is wider than a terminal that is [HelpWidth] columns wide.
func Help(t *testing.T, root *cobra.Command) {
	t.Helper()
	commands := root.Commands()
	for i := 0; i < len(commands); i++ {
		cmd := commands[i]
		if cmd.Name() != "completion" { // cobra wrote the help of its subcommands
			commands = append(commands, cmd.Commands()...)
		}
		var help bytes.Buffer
		cmd.SetOut(&help)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(help.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > HelpWidth {
				t.Errorf("%s --help: a line has %d columns, want at most %d: %s", cmd.Name(), n, HelpWidth, line)
			}
		}
	}
}

// Golden compares an output with a file below testdata. With update it rewrites the file.
func Golden(t *testing.T, name string, got []byte, update bool) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
	if update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; -update rewrites it. Got:\n%s", path, got)
	}
}
