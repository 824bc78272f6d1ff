// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo builds what a demo needs, which takes minutes the first time, reports the progress, and then becomes the demo that its
// argument names: attack or replay. It builds in a moment itself.
//
// It runs in the directory e2e.
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
	if len(os.Args) != 2 || os.Args[1] != "attack" && os.Args[1] != "replay" {
		fmt.Fprintln(os.Stderr, "demo: name one demo: attack or replay")
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := build(ctx)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	stop()
	if err == nil {
		err = become("go", "run", "./demo/"+os.Args[1])
	}
	fmt.Fprintln(os.Stderr, "demo:", err)
	os.Exit(1)
}

// build builds what is missing.
func build(ctx context.Context) error {
	fmt.Println("\nBuilding the missing ones of etcd, kube-apiserver, kubectl, a kubelet and helm, once for all clones")
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
	return binaries.Compile(ctx, os.Stdout, "demo", ".", "./suite")
}

// become replaces this process with a command, which therefore gets its signals.
func become(name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	return syscall.Exec(path, append([]string{name}, args...), os.Environ())
}
