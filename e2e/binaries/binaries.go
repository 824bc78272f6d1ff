// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"noderestriction.plus/e2e/project"
)

const (
	// quickVariable is the environment variable that with 1 has programs built in less time that are slower themselves. Programs that are
	// not in the cache directory yet are then built so, under names of their own, and no other process uses them.
	quickVariable = "NRP_QUICK"
	quickSuffix   = "-quick"
	// quickFlags are the flags of the compiler for such programs: without inlining and debug information it needs a third less time.
	// The Makefile has them too.
	quickFlags = "-l -dwarf=false"
)

// Path returns the path of a program. If it has to be built, which takes minutes and needs the module proxy, the progress is written
// to the log. If two processes need it at the same time, one builds it and the other waits.
func Path(ctx context.Context, log io.Writer, p Program) (string, error) {
	if path, err := given(p); path != "" || err != nil {
		return path, err
	}
	path, version, err := p.cached()
	if err != nil {
		return "", err
	}
	if isExecutable(path) {
		return path, nil
	}
	label := p.Name + " " + version
	unlock, err := lock(ctx, path+".lock", func() { fmt.Fprintf(log, "%s: another process is building it\n", label) })
	if err != nil {
		return "", fmt.Errorf("%s: %w", label, err)
	}
	defer unlock()
	if isExecutable(path) {
		return path, nil
	}
	root, err := project.Root()
	if err != nil {
		return "", err
	}
	b := build{
		label: label, dir: filepath.Join(root, p.goMod), packages: []string{p.pkg},
		flags: []string{"-tags=" + p.tags}, ldflags: []string{"-s", "-w"}, log: log,
	}
	if strings.HasSuffix(path, quickSuffix) {
		b.flags = append(b.flags, "-gcflags=all="+quickFlags)
	}
	if p.static {
		b.env = []string{"CGO_ENABLED=0"}
	}
	if p.ldflags != nil {
		b.ldflags = append(b.ldflags, p.ldflags(version)...)
	}
	if p.release() == "" {
		return path, b.run(ctx, path)
	}
	b.dir = path + ".module"
	defer os.RemoveAll(b.dir)
	if err := p.writeModule(ctx, &b, root, version); err != nil {
		return "", fmt.Errorf("%s: %w", label, err)
	}
	return path, b.run(ctx, path)
}

// cached returns the path in the user's cache directory at which the first build leaves the program, and its version.
func (p Program) cached() (path, version string, err error) {
	root, err := project.Root()
	if err != nil {
		return "", "", err
	}
	if version, err = p.version(root); err != nil {
		return "", "", err
	}
	dir, err := cacheDir()
	if err != nil {
		return "", "", err
	}
	name, err := p.fileName(root, version)
	path = filepath.Join(dir, name)
	if os.Getenv(quickVariable) == "1" && !isExecutable(path) {
		path += quickSuffix
	}
	return path, version, err
}

// Build is a way to build a program of the product.
type Build struct {
	name       string
	module     string // directory of the module, from the root of the repository
	flags, env []string
}

// Plain is the fastest build, which shares compiled packages with tests.
func Plain() Build { return Build{name: "node-restriction-plus", flags: []string{"-pgo=off"}} }

// Race is a build with Go's race detector.
func Race() Build {
	return Build{name: "node-restriction-plus-race", flags: []string{"-race", "-pgo=off"}}
}

// Released is the build of the image: a static program that is optimized with its profile.
func Released() Build {
	return Build{
		name: "node-restriction-plus-released", flags: []string{"-trimpath", "-pgo=auto"}, env: []string{"CGO_ENABLED=0"},
	}
}

// Product builds the product from the clone, and returns its path in the clone's directory bin. It is always current: go build
// itself finds out what to build.
func Product(ctx context.Context, log io.Writer, kind Build) (string, error) {
	if path := os.Getenv("NRP_PRODUCT"); path != "" {
		return path, requireExecutable("NRP_PRODUCT", path)
	}
	return fromClone(ctx, log, kind, ".")
}

// CommandLine builds the command-line tool from the clone. Its file has the name by which kubectl finds plugins.
func CommandLine(ctx context.Context, log io.Writer) (string, error) {
	return fromClone(ctx, log, Build{name: "kubectl-nrp", flags: []string{"-pgo=off"}}, "./cmd/kubectl-nrp")
}

// Demo builds a demo, attack or replay.
func Demo(ctx context.Context, log io.Writer, name string) (string, error) {
	kind := Build{name: "demo-" + name, module: "e2e", flags: []string{"-pgo=off"}}
	return fromClone(ctx, log, kind, "./demo/"+name)
}

// Container builds the program of the containers of e2e/node.
func Container(ctx context.Context, log io.Writer) (string, error) {
	kind := Build{name: "container", module: "e2e", flags: []string{"-trimpath", "-pgo=off"}, env: []string{"CGO_ENABLED=0"}}
	return fromClone(ctx, log, kind, "./node/container")
}

// Image builds the product's image for this machine, as make image does, and returns the path of an archive that containerd imports.
func Image(ctx context.Context, log io.Writer) (string, error) {
	root, err := project.Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin", "e2e", "image")
	cmd := exec.CommandContext(ctx, "go", "-C", filepath.Join(root, "tools", "release"), "run", ".", "image", "-C", root, "-o", dir,
		"-platforms", "linux/"+runtime.GOARCH)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the image: %w", err)
	}
	return filepath.Join(dir, "linux_"+runtime.GOARCH+".tar"), nil
}

// fromClone builds a package of the clone. The file keeps its build ID, by which go build finds out that it is current and need not be
// linked again.
func fromClone(ctx context.Context, log io.Writer, kind Build, pkg string) (string, error) {
	root, err := project.Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin", "e2e")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// From a temporary directory in the same file system, go build can move the program there while an older one is running.
	b := build{
		label: kind.name, dir: filepath.Join(root, kind.module), packages: []string{pkg}, log: log,
		flags: kind.flags, env: append(kind.env, "GOTMPDIR="+dir),
	}
	path := filepath.Join(dir, kind.name)
	unlock, err := lock(ctx, path+".lock", func() { fmt.Fprintf(log, "%s: another process is building it\n", kind.name) })
	if err != nil {
		return "", fmt.Errorf("%s: %w", kind.name, err)
	}
	defer unlock()
	return path, b.goBuild(ctx, "-ldflags", "-s -w", "-o", path)
}

// given returns the path of the program in the environment, or empty.
func given(p Program) (string, error) {
	if p.release() != "" {
		return "", nil
	}
	if path := os.Getenv(p.Variable); path != "" {
		return path, requireExecutable(p.Variable, path)
	}
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		if path := filepath.Join(assets, p.Name); isExecutable(path) {
			return path, nil
		}
	}
	return "", nil
}

func requireExecutable(variable, path string) error {
	if !isExecutable(path) {
		return fmt.Errorf("%s: %q is not an executable file", variable, path)
	}
	return nil
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "node-restriction-plus")
	return dir, os.MkdirAll(dir, 0o755)
}

// lock takes the lock file, and calls waiting once if another process holds it. The lock ends with the process that holds it.
func lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	retry := time.NewTicker(200 * time.Millisecond)
	defer retry.Stop()
	for first := true; ; first = false {
		err := tryLock(f)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, errors.Join(err, f.Close())
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-retry.C:
		}
	}
}
