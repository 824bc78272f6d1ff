// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/e2e/project"
)

func TestOneProcessBuildsAndTheOthersWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	nobody := func() { t.Error("no other process has the lock") }
	unlock, err := lock(t.Context(), path, nobody)
	if err != nil {
		t.Fatal(err)
	}
	waits, locked := make(chan struct{}), make(chan error, 1)
	go func() {
		unlock, err := lock(t.Context(), path, func() { close(waits) })
		if err == nil {
			unlock()
		}
		locked <- err
	}()
	<-waits
	select {
	case <-locked:
		t.Fatal("two processes have the lock")
	default:
	}
	unlock()
	if err := <-locked; err != nil {
		t.Fatal(err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, path, func() {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestProgramsOfTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	file, program := filepath.Join(dir, "file"), filepath.Join(dir, "etcd")
	for path, mode := range map[string]os.FileMode{file: 0o644, program: 0o755} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, variable, assets, path, err string
	}{
		{name: "no program is named"},
		{name: "its variable names it", variable: program, path: program},
		{name: "the variable does not name a program", variable: file, path: file, err: "NRP_ETCD"},
		{name: "the assets have it", assets: dir, path: program},
		{name: "the assets do not have it", assets: os.DevNull},
		{name: "its variable comes before the assets", variable: file, assets: dir, path: file, err: "NRP_ETCD"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("NRP_ETCD", test.variable)
			t.Setenv("KUBEBUILDER_ASSETS", test.assets)
			path, err := given(Etcd())
			if path != test.path || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %q, %v", path, err)
			}
		})
	}
}

func TestProgramsThatAreBuiltQuicklyHaveNamesOfTheirOwn(t *testing.T) {
	for _, test := range []struct {
		name, variable string
		there          []string // suffixes of what is in the cache directory
		want           string   // suffix
	}{
		{name: "a test builds the program as it is released"},
		{name: "a demo builds it quickly", variable: "1", want: quickSuffix},
		{name: "a demo uses one that a test has built", variable: "1", there: []string{""}},
		{name: "a demo prefers the one that a test has built", variable: "1", there: []string{"", quickSuffix}},
		{name: "a test does not use the one of a demo", there: []string{quickSuffix}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			t.Setenv(quickVariable, "")
			plain, _, err := Etcd().cached()
			if err != nil {
				t.Fatal(err)
			}
			for _, suffix := range test.there {
				if err := os.WriteFile(plain+suffix, nil, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv(quickVariable, test.variable)
			if got, _, err := Etcd().cached(); err != nil || got != plain+test.want {
				t.Errorf("got %q, %v, want %q", got, err, plain+test.want)
			}
		})
	}
}

func TestVersionsAreThoseOfGoMod(t *testing.T) {
	root, err := project.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range All() {
		version, err := p.version(root)
		if err != nil || !strings.HasPrefix(version, "v") {
			t.Errorf("%s: got %q, %v", p.Name, version, err)
		}
	}
}

func TestProgressIsSeparateFromErrors(t *testing.T) {
	var p progress
	rest := p.read(strings.NewReader(`go: downloading k8s.io/api v0.37.2
internal/cpu
k8s.io/api/core/v1
# k8s.io/kubernetes/cmd/kubectl
main.go:7:2: undefined: x
`))
	if p.downloaded.Load() != 1 || p.compiled.Load() != 2 ||
		string(rest) != "# k8s.io/kubernetes/cmd/kubectl\nmain.go:7:2: undefined: x\n" {
		t.Errorf("%d downloaded, %d compiled, rest %q", p.downloaded.Load(), p.compiled.Load(), rest)
	}
}
