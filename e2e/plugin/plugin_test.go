// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plugin_test runs the command-line tool as a plugin of the real kubectl. It needs no cluster.
package plugin_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"noderestriction.plus/e2e/binaries"
)

// answer is the result of a command.
type answer struct {
	stdout, stderr string
	code           int
}

func run(t *testing.T, name string, args ...string) answer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// install puts the plugin and its completion into PATH, as docs/get-kubectl-nrp.md says, and returns the path of kubectl.
func install(t *testing.T) string {
	t.Helper()
	kubectl, err := binaries.Path(t.Context(), os.Stderr, binaries.Kubectl())
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := binaries.CommandLine(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("HOME", t.TempDir())
	if err := os.Symlink(plugin, filepath.Join(dir, "kubectl-nrp")); err != nil {
		t.Fatal(err)
	}
	script := run(t, "kubectl-nrp", "completion", "kubectl-plugin")
	if err := os.WriteFile(filepath.Join(dir, "kubectl_complete-nrp"), []byte(script.stdout), 0o755); err != nil {
		t.Fatal(err)
	}
	return kubectl
}

func TestPlugin(t *testing.T) {
	kubectl := install(t)
	t.Run("its texts name the command as it was called", func(t *testing.T) {
		if a := run(t, kubectl, "nrp", "check", "--help"); !strings.Contains(a.stdout, "\n  kubectl nrp check FILE...") {
			t.Errorf("by kubectl: got %+v", a)
		}
		if a := run(t, "kubectl-nrp", "check", "--help"); !strings.Contains(a.stdout, "\n  kubectl-nrp check FILE...") {
			t.Errorf("by its name: got %+v", a)
		}
	})
	t.Run("its exit codes and errors are those of kubectl nrp", func(t *testing.T) {
		policy := filepath.Join(t.TempDir(), "policy.yaml")
		const invalid = "apiVersion: noderestriction.plus/v1alpha1\nkind: NodeRestrictionPolicy\nmetadata: {name: p}\n" +
			"spec: {nodes: {labels: {registration: {allowed: [\"*?*\"]}}}, validationActions: [Sometimes]}\n"
		if err := os.WriteFile(policy, []byte(invalid), 0o600); err != nil {
			t.Fatal(err)
		}
		if a := run(t, kubectl, "nrp", "check", policy); a.code != 1 || !strings.HasPrefix(a.stderr, "kubectl-nrp: ") {
			t.Errorf("an invalid policy: got %+v", a)
		}
		if a := run(t, kubectl, "nrp", "check"); a.code != 2 ||
			!strings.HasSuffix(a.stderr, "kubectl-nrp: run \"kubectl nrp check --help\" for the usage\n") {
			t.Errorf("no file: got %+v", a)
		}
	})
	t.Run("kubectl lists it", func(t *testing.T) {
		if a := run(t, kubectl, "plugin", "list"); a.code != 0 || !strings.Contains(a.stdout, "/kubectl-nrp\n") {
			t.Errorf("got %+v", a)
		}
	})
}

func TestKubectlCompletesThePlugin(t *testing.T) {
	kubectl := install(t)
	for name, test := range map[string]struct {
		words []string
		want  string
	}{
		"its name":              {[]string{"nr"}, "nrp\t"},
		"its commands":          {[]string{"nrp", ""}, "denials\tShow denied writes"},
		"rules":                 {[]string{"nrp", "explain", "node-"}, "node-labels\tA kubelet may give its Node only the labels"},
		"the values of a flag":  {[]string{"nrp", "denials", "--action", ""}, "warned\n"},
		"the names of flags":    {[]string{"nrp", "review", "--con"}, "--context\t"},
		"a word with an option": {[]string{"nrp", "rules", "-o", "j"}, "json\n"},
	} {
		t.Run(name, func(t *testing.T) {
			a := run(t, kubectl, append([]string{"__complete"}, test.words...)...)
			if a.code != 0 || !strings.Contains("\n"+a.stdout, "\n"+test.want) {
				t.Errorf("got %+v, want %q", a, test.want)
			}
		})
	}
}
