// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo shows the product at work, see package stage. It is the part that builds in a moment: it builds the
// rest, which takes minutes the first time, and says how far it is; then it becomes the program stage.
//
// It runs in the folder e2e.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"noderestriction.plus/e2e/binaries"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := build(ctx)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	stop()
	if err == nil {
		err = become("go", "run", "./demo/stage")
	}
	fmt.Fprintln(os.Stderr, "demo:", err)
	os.Exit(1)
}

// build builds what is missing.
func build(ctx context.Context) error {
	fmt.Println("\nBuilding what is missing of etcd, kube-apiserver, kubectl, a kubelet and helm, once for all clones")
	for _, program := range []binaries.Program{
		binaries.Etcd(), binaries.KubeAPIServer(), binaries.Kubectl(), binaries.Kubelet(),
	} {
		if _, err := binaries.Path(ctx, os.Stdout, program); err != nil {
			return err
		}
	}
	if _, err := binaries.Helm(ctx, os.Stdout); err != nil {
		return err
	}
	return binaries.Compile(ctx, os.Stdout, "demo", ".", "./product", "./kubelet")
}

// become replaces this process by a command, so that what is sent to the one reaches the other.
func become(name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	return syscall.Exec(path, append([]string{name}, args...), os.Environ())
}
