// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package releasetest has a project for tests that is built in seconds: programs of a few lines, with the real chart and Dockerfile.
package releasetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"noderestriction.plus/tools/release/gobuild"
)

// Root returns the root of the real project.
func Root(t *testing.T) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("the path of this file is not known")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// source is a program that prints its version.
const source = `package main

import (
	"fmt"
	"runtime/debug"
)

func main() {
	info, _ := debug.ReadBuildInfo()
	fmt.Println(info.Main.Version)
}
`

// Project returns the directory of a new project, without version control.
func Project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for path, content := range map[string]string{
		"go.mod": "module example.com/project\n\ngo 1.26.0\n", "main.go": source, "cmd/kubectl-nrp/main.go": source,
		"CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n\n### Added\n\n- Everything.\n\n" +
			"## [0.0.1] - 2026-01-01\n\n- Nothing.\n",
		"LICENSE": "The licence.\n", ".gitignore": "/bin/\n",
		"THIRD_PARTY_NOTICES": "Notices\n\nthe Go standard library: BSD-3-Clause\n",
	} {
		Write(t, filepath.Join(dir, path), content)
	}
	root := Root(t)
	data, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	Check(t, err)
	Write(t, filepath.Join(dir, "Dockerfile"), string(data))
	chart := filepath.Join("charts", "node-restriction-plus")
	Check(t, os.CopyFS(filepath.Join(dir, chart), os.DirFS(filepath.Join(root, chart))))
	return dir
}

// Commit puts a project under version control and returns the source. With a tag, the commit has it.
func Commit(t *testing.T, dir, tag string) gobuild.Source {
	t.Helper()
	Git(t, dir, "init", "--quiet")
	Git(t, dir, "add", "--all")
	Git(t, dir, "commit", "--quiet", "--message=first")
	if tag != "" {
		Git(t, dir, "tag", tag)
	}
	return gobuild.Source{Root: dir}
}

// Git runs git with a fixed identity and time, so that equal contents give equal commits.
func Git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{
		"-C", dir, "-c", "user.name=test", "-c", "user.email=test@example.com",
		"-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false",
	}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE=2026-12-01T10:00:00Z", "GIT_COMMITTER_DATE=2026-12-01T10:00:00Z",
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
}

// Write writes a file and the directories above it.
func Write(t *testing.T, path, content string) {
	t.Helper()
	Check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	Check(t, os.WriteFile(path, []byte(content), 0o644))
}

// Native is the platform of this machine, with Linux as the operating system.
func Native() gobuild.Platform { return gobuild.Platform{OS: "linux", Arch: runtime.GOARCH} }

// Check fails the test for an error.
func Check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
