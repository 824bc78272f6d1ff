// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo downloads or builds what a demo needs, which takes minutes the first time, reports the progress, and then becomes the demo
// that its argument names: attack or replay. It builds in a moment itself.
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
	err := build(ctx, os.Args[1])
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

// build builds what the demo cannot begin without. What the network has is downloaded instead.
func build(ctx context.Context, demo string) error {
	programs := []binaries.Program{binaries.Etcd(), binaries.KubeAPIServer(), binaries.Kubectl()}
	built, err := binaries.Built(programs...)
	if err != nil {
		return err
	}
	if !built {
		download(ctx)
	}
	if demo == "replay" {
		programs = append(programs, binaries.Kubelet())
	}
	for i, program := range programs {
		fmt.Printf("%d of %d: %s\n", i+1, len(programs)+2, program.Name)
		if _, err := binaries.Path(ctx, os.Stdout, program); err != nil {
			return err
		}
	}
	fmt.Printf("%d of %d: helm\n", len(programs)+1, len(programs)+2)
	if _, err := binaries.Helm(ctx, os.Stdout); err != nil {
		return err
	}
	fmt.Printf("%d of %d: the demo\n", len(programs)+2, len(programs)+2)
	return binaries.Compile(ctx, os.Stdout, "demo", ".", "./suite")
}

// download makes this process, and the demo that it becomes, use downloaded programs if the network has them.
func download(ctx context.Context) {
	dir, err := binaries.Download(ctx, os.Stdout)
	if err == nil {
		err = os.Setenv("KUBEBUILDER_ASSETS", dir)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Printf("Building etcd, kube-apiserver and kubectl, once for all clones, because they cannot be downloaded: %v\n", err)
	}
}

// become replaces this process with a command, which therefore gets its signals.
func become(name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	return syscall.Exec(path, append([]string{name}, args...), os.Environ())
}
