// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// interval is the time between two lines of progress.
const interval = 10 * time.Second

// build is one run of go build.
type build struct {
	label    string // for progress and errors
	dir      string // of the go.mod
	packages []string
	flags    []string
	ldflags  []string
	env      []string // in addition to the environment of this process
	log      io.Writer
}

// run builds into a temporary file beside the path and renames it, so that the path is never an incomplete program. No other process
// may build the same path at the same time.
func (b *build) run(ctx context.Context, path string) error {
	tmp := path + ".tmp"
	// A killed build may have left a file that is not a program, which go build would not overwrite.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.goBuild(ctx, "-ldflags", strings.Join(b.ldflags, " "), "-o", tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// goBuild runs go build with these flags and reports its progress.
func (b *build) goBuild(ctx context.Context, flags ...string) error {
	args := slices.Concat([]string{"build", "-v"}, b.flags, flags, b.packages)
	cmd := b.command(ctx, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	var seen progress
	stop := b.reportProgress(ctx, start, &seen)
	messages := seen.read(stderr)
	err = cmd.Wait()
	stop()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("build %s: %w\n%s", b.label, err, messages)
	}
	if elapsed := time.Since(start); elapsed > interval {
		fmt.Fprintf(b.log, "%s: built in %s\n", b.label, elapsed.Round(time.Second))
	}
	return nil
}

// command returns a go command that ends, with the compilers that it has started, when the context ends.
func (b *build) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.dir
	cmd.Env = slices.Concat(os.Environ(), []string{"GOWORK=off"}, b.env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// progress counts the output of go build.
type progress struct{ downloaded, compiled atomic.Int64 }

// read counts the modules that go build downloads and the packages that it compiles, and returns the rest: errors.
func (p *progress) read(stderr io.Reader) []byte {
	const keep = 16 << 10
	var messages bytes.Buffer
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "go: downloading "):
			p.downloaded.Add(1)
		case !strings.ContainsAny(line, " :"):
			p.compiled.Add(1)
		case messages.Len() < keep:
			messages.WriteString(line + "\n")
		}
	}
	return messages.Bytes()
}

// reportProgress writes a line every interval until stop is called.
func (b *build) reportProgress(ctx context.Context, start time.Time, seen *progress) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		packages := 0
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(interval):
			}
			doing := "linking"
			if n := seen.compiled.Load(); n > 0 {
				if packages == 0 {
					packages = b.countPackages(ctx)
				}
				// Packages in Go's cache are not counted, so the total may not be reached.
				doing = fmt.Sprintf("%d of %d packages compiled", n, packages)
			} else if n := seen.downloaded.Load(); n > 0 {
				doing = fmt.Sprintf("%d modules downloaded", n)
			}
			fmt.Fprintf(b.log, "%s: building, %s, %s\n", b.label, doing, time.Since(start).Round(time.Second))
		}
	}()
	return func() { cancel(); <-done }
}

// countPackages returns the number of packages to build, or 0 if it cannot be determined.
func (b *build) countPackages(ctx context.Context) int {
	out, err := b.command(ctx, append([]string{"list", "-deps"}, b.packages...)...).Output()
	if err != nil {
		return 0
	}
	return bytes.Count(out, []byte("\n"))
}
