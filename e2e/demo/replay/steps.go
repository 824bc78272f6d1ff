// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// single are the flags for the whole log of a single API server that has just been started.
const single = "--complete --clock-skew 0"

// step is a command as a user types it.
type step struct {
	title string // of the section that it begins; empty: none
	line  string
	code  int      // with which it must end
	wants []string // that its output must have
	not   string   // that its output must not have; empty: anything goes
}

// do runs a command in the shell, in the directory that stays, and shows it with its output.
func (d *demo) do(ctx context.Context, s *step) error {
	if s.title != "" {
		d.Screen.Title("%s", s.title)
	}
	d.Screen.Line("$ %s", s.line)
	cmd := exec.CommandContext(ctx, "sh", "-c", s.line)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "PATH="+d.bin()+":"+os.Getenv("PATH"), "KUBECONFIG="+d.Kubectl.Kubeconfig)
	data, err := cmd.CombinedOutput()
	out := strings.TrimSpace(string(data))
	if out != "" {
		d.Screen.Line("%s\n", strings.ReplaceAll(out, "\n", "\n  "))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	if code := cmd.ProcessState.ExitCode(); code != s.code {
		return fmt.Errorf("%s: exit code %d, want %d", s.line, code, s.code)
	}
	for _, want := range s.wants {
		if !strings.Contains(out, want) {
			return fmt.Errorf("%s: the output does not have %q", s.line, want)
		}
	}
	if s.not != "" && strings.Contains(out, s.not) {
		return fmt.Errorf("%s: the output has %q", s.line, s.not)
	}
	return nil
}
