// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gobuild builds the programs of the project for other platforms, so that one source always gives the same bytes, and reads
// what Go recorded in them.
package gobuild

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Program is a program of the project.
type Program struct {
	Name    string // of its file, without .exe
	Package string // relative to the root of the project
}

// Webhook is the program that the image runs.
func Webhook() Program { return Program{"node-restriction-plus", "."} }

// Plugin is the command-line tool. kubectl runs it for "kubectl nrp".
func Plugin() Program { return Program{"kubectl-nrp", "./cmd/kubectl-nrp"} }

// Platform is an operating system and an architecture, in Go's words.
type Platform struct{ OS, Arch string }

// ParsePlatform reads a platform such as linux/amd64.
func ParsePlatform(text string) (Platform, error) {
	goos, goarch, found := strings.Cut(text, "/")
	if !found || goos == "" || goarch == "" || strings.Contains(goarch, "/") {
		return Platform{}, fmt.Errorf("platform %q must be an operating system and an architecture, such as linux/amd64", text)
	}
	return Platform{goos, goarch}, nil
}

// ParsePlatforms reads platforms that are separated by commas, each once.
func ParsePlatforms(text string) ([]Platform, error) {
	var platforms []Platform
	for _, word := range strings.Split(text, ",") {
		p, err := ParsePlatform(word)
		if err != nil {
			return nil, err
		}
		if slices.Contains(platforms, p) {
			return nil, fmt.Errorf("platform %s is named twice", p)
		}
		platforms = append(platforms, p)
	}
	return platforms, nil
}

// String returns the platform in the form that ParsePlatform reads.
func (p Platform) String() string { return p.OS + "/" + p.Arch }

// Executable returns the name of the program's file on the platform.
func (p Platform) Executable(program Program) string {
	if p.OS == "windows" {
		return program.Name + ".exe"
	}
	return program.Name
}

// Source is the source of the programs.
type Source struct {
	Root  string   // directory of the go.mod
	Flags []string // further flags of go build, which tests use to share compiled packages
}

// Build builds a program into a directory and returns the path of its file.
func (s Source) Build(ctx context.Context, program Program, platform Platform, dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, platform.Executable(program))
	args := append([]string{"build"}, Flags()...)
	args = append(args, s.Flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", path, program.Package)...)
	cmd.Dir, cmd.Env, cmd.Stderr = s.Root, append(os.Environ(), environment(platform)...), os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go build of %s for %s: %w", program.Name, platform, err)
	}
	return path, nil
}

// Flags returns the flags of go build that a release is built with. The Dockerfile has the same, or they are the default.
func Flags() []string {
	return []string{"-buildvcs=auto", "-trimpath", "-pgo=auto", "-ldflags=-s -w -buildid="}
}

// environment returns what the result depends on, so that the environment of the build does not count.
func environment(p Platform) []string {
	return []string{
		"GOOS=" + p.OS, "GOARCH=" + p.Arch, "GOAMD64=v1", "GOARM64=v8.0", "CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off",
		"GOWORK=off", "GODEBUG=",
	}
}

// Info is what Go recorded in a program.
type Info struct {
	Path     string    // of the main package
	Go       string    // version of Go, such as go1.26.8
	Version  string    // of the tag, such as v0.1.0, or a pseudo-version. Empty if the program was built without version control.
	Revision string    // hash of the commit; empty as Version
	Time     time.Time // of the commit, in UTC; 1970 without version control, which is the same on every machine
	Modified bool      // the source was not committed
	Main     debug.Module
	Modules  []*debug.Module // linked modules, after replacements
}

// Read reads the information from the file of a program.
func Read(path string) (Info, error) {
	read, err := buildinfo.ReadFile(path)
	if err != nil {
		return Info{}, err
	}
	info := Info{Path: read.Path, Go: read.GoVersion, Time: time.Unix(0, 0).UTC(), Main: read.Main}
	if read.Main.Version != "(devel)" {
		info.Version = read.Main.Version
	}
	for _, setting := range read.Settings {
		switch setting.Key {
		case "vcs.revision":
			info.Revision = setting.Value
		case "vcs.modified":
			info.Modified = setting.Value == "true"
		case "vcs.time":
			at, err := time.Parse(time.RFC3339, setting.Value)
			if err != nil {
				return Info{}, fmt.Errorf("%s: vcs.time: %w", path, err)
			}
			info.Time = at.UTC()
		}
	}
	for _, module := range read.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		info.Modules = append(info.Modules, module)
	}
	return info, nil
}

// ReleaseGo returns the version of Go that releases are built with, such as go1.26.8: the one that the Dockerfile names.
func ReleaseGo(root string) (string, error) {
	dockerfile, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return "", err
	}
	match := regexp.MustCompile(`(?m)^FROM .*\bgolang:(\d+\.\d+\.\d+)\b`).FindSubmatch(dockerfile)
	if match == nil {
		return "", errors.New("the Dockerfile has no FROM golang:<version>")
	}
	return "go" + string(match[1]), nil
}
