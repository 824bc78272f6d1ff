// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// Run runs this program again in a sandbox, with the same arguments and files, and returns its exit code. A test binary calls it in
// TestMain unless [Inside] is true. It needs root. Before, it does what needs the network: prepare.
func Run(prepare func() error) (int, error) {
	if os.Getenv(stageVariable) == initStage {
		return runInit()
	}
	if os.Geteuid() != 0 {
		return 0, errors.New("a real node needs root: it runs containers, in namespaces and cgroups of its own")
	}
	if err := errors.Join(removeStaleCgroups(), prepare()); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "nrp-node-")
	if err != nil {
		return 0, err
	}
	code, err := runIn(dir)
	if code != 0 || err != nil {
		fmt.Fprintf(os.Stderr, "data and logs are kept in %s\n", dir)
		return code, err
	}
	return 0, os.RemoveAll(dir)
}

// runIn starts process 1 of new namespaces. When it exits, the kernel kills all other processes of the namespaces, and with the last one
// the mounts and the network are gone.
func runIn(dir string) (code int, err error) {
	// The kernel kills the child when the thread that started it exits, which is when this program is killed.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(stopped)
	name := fmt.Sprintf("%s%d", cgroupPrefix, os.Getpid())
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stageVariable+"="+initStage, dirVariable+"="+dir, nameVariable+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true,
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("cannot make namespaces: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case s := <-stopped:
		err = fmt.Errorf("stopped by %s", s)
		if killed := cmd.Process.Kill(); killed != nil {
			err = errors.Join(err, killed)
		}
		if waited := <-ended; waited == nil {
			err = errors.Join(err, errors.New("it had ended before"))
		}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, err = max(1, exit.ExitCode()), nil
	}
	return code, errors.Join(err, removeCgroups(name))
}

// runInit is process 1: it prepares the namespaces, runs the program in them, and reaps orphans until the program has exited.
func runInit() (int, error) {
	// A signal of the terminal goes to the first stage, which kills this process. It must not be ignored, because children inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM)
	if err := errors.Join(mountAll(), startNetwork(), syscall.Sethostname([]byte("nrp"))); err != nil {
		return 0, err
	}
	if err := os.Setenv(stageVariable, programStage); err != nil {
		return 0, err
	}
	program, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return 0, err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, err
		case pid == program.Pid && status.Exited():
			return status.ExitStatus(), nil
		case pid == program.Pid:
			return 0, fmt.Errorf("the program was ended by %s", status.Signal())
		}
	}
}
