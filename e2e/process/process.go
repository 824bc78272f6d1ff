// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package process runs programs as children that never outlive this process.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Spec describes a child.
type Spec struct {
	Name       string // for errors
	Path       string
	Args       []string
	Env        []string // in addition to the environment of this process
	Dir        string   // working directory
	LogFile    string   // for stderr, appended
	StdoutFile string   // for stdout, appended; empty: the log file
}

// Process is a running child.
type Process struct {
	spec Spec
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; set before done is closed
}

// Start starts a child in a process group of its own, so that Ctrl-C in the terminal only reaches this process, which stops its
// children in order.
func Start(spec Spec) (*Process, error) {
	log, err := openLog(spec.LogFile)
	if err != nil {
		return nil, err
	}
	stdout := log
	if spec.StdoutFile != "" {
		if stdout, err = openLog(spec.StdoutFile); err != nil {
			return nil, errors.Join(err, log.Close())
		}
	}
	p := &Process{spec: spec, cmd: exec.Command(spec.Path, spec.Args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = spec.Dir, append(os.Environ(), spec.Env...)
	p.cmd.Stdout, p.cmd.Stderr = stdout, log
	p.cmd.SysProcAttr = childAttributes()
	started := make(chan error)
	go func() {
		// The kernel kills the child when the thread that started it exits, so this thread must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		defer stdout.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	return p, nil
}

func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

// Again starts the same child again. The first one must have exited.
func (p *Process) Again() (*Process, error) { return Start(p.spec) }

// Done returns a channel that is closed when the child has exited.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID returns the child's process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// LogFile returns the path of the child's log.
func (p *Process) LogFile() string { return p.spec.LogFile }

// Signal sends a signal to the child.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Wait waits until the child has exited and returns an error if its exit code is not 0.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("%s has not exited: %w", p.spec.Name, ctx.Err())
	}
}

// Stop terminates the child, and kills its process group if it has not exited after the grace period. It returns an error if the
// child was killed or its exit code is not 0.
func (p *Process) Stop(grace time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(grace):
		return p.Kill()
	}
}

// Kill kills the process group of the child.
func (p *Process) Kill() error {
	if err := syscall.Kill(-p.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-p.done
	return p.err
}

// Await polls until the condition holds. It fails when the context ends, with the condition's last error, or when the child exits,
// with the last lines of its log.
func (p *Process) Await(ctx context.Context, condition func(context.Context) error) error {
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s exited: %w\n%s", p.spec.Name, p.err, p.logTail(20))
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w\n%s", p.spec.Name, ctx.Err(), err, p.logTail(20))
		case <-retry.C:
		}
	}
}

// logTail returns the last lines of the log.
func (p *Process) logTail(n int) string {
	data, err := os.ReadFile(p.spec.LogFile)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
