// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/program"
)

func TestHowThePluginIsCalled(t *testing.T) {
	installed, other := t.TempDir(), t.TempDir()
	for _, dir := range []string{installed, other} {
		if err := os.WriteFile(filepath.Join(dir, program.Plugin), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", strings.Join([]string{t.TempDir(), installed, other}, string(os.PathListSeparator)))
	for name, test := range map[string]struct{ argument, want string }{
		"kubectl executes the path that it finds": {filepath.Join(installed, program.Plugin), command.ByKubectl},
		"a shell executes the name":               {program.Plugin, program.Plugin},
		"a user types another path":               {filepath.Join(other, program.Plugin), program.Plugin},
		"a user types a relative path":            {"./" + program.Plugin, program.Plugin},
	} {
		t.Run(name, func(t *testing.T) {
			if got := command.PluginCall(test.argument); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	if got := command.PluginCall(filepath.Join(installed, program.Plugin)); got != program.Plugin {
		t.Errorf("not in PATH: got %q", got)
	}
}

func TestTextsSayHowThePluginIsCalled(t *testing.T) {
	for _, call := range []string{command.ByKubectl, program.Plugin} {
		cmd := &cobra.Command{
			Use: "try", Short: "Try", Long: "kubectl nrp try tries.", Example: "  kubectl get nrp | kubectl nrp try",
			Run: func(*cobra.Command, []string) {},
		}
		root := command.Plugin(call, cmd)
		root.SetArgs([]string{"try", "--help"})
		var help strings.Builder
		root.SetOut(&help)
		if code := command.Run(root); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		for _, want := range []string{call + " try tries.", "Usage:\n  " + call + " try", "kubectl get nrp | " + call + " try\n"} {
			if !strings.Contains(help.String(), want) {
				t.Errorf("no %q in\n%s", want, help.String())
			}
		}
	}
}
