// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shell starts a script.
func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(Spec{
		Name: "script", Path: "/bin/sh", Args: []string{"-c", script}, LogFile: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func logged(p *Process, text string) func(context.Context) error {
	return func(context.Context) error {
		data, err := os.ReadFile(p.LogFile())
		if err == nil && !strings.Contains(string(data), text) {
			err = errors.New("not logged yet")
		}
		return err
	}
}

func TestStop(t *testing.T) {
	for _, test := range []struct {
		name, script string
		fails        bool
	}{
		{"exits with code 0 when terminated", `trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done`, false},
		{"exits with an error code", `trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done`, true},
		{"does not exit and is killed", `trap '' TERM; echo up; while :; do sleep 0.01; done`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := shell(t, test.script)
			if err := p.Await(t.Context(), logged(p, "up")); err != nil {
				t.Fatal(err)
			}
			if err := p.Stop(time.Second); (err != nil) != test.fails {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAwaitEndsWithTheProcess(t *testing.T) {
	p := shell(t, `echo "address already in use" >&2; exit 1`)
	err := p.Await(t.Context(), func(context.Context) error { return errors.New("never") })
	if err == nil || !strings.Contains(err.Error(), "script exited: exit status 1\naddress already in use") {
		t.Errorf("got %v", err)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := FreePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if seen[port] {
			t.Errorf("port %d twice", port)
		}
		seen[port] = true
	}
}
