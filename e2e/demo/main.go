// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo downloads or builds what a demo needs, which takes minutes the first time, reports the progress, and then becomes the demo
// that its argument names: attack or replay. It builds in a moment itself.
//
// It runs in the directory e2e.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	path, err := build(ctx, os.Args[1])
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	stop()
	if err == nil {
		err = syscall.Exec(path, []string{path}, os.Environ()) // it gets the signals of this process
	}
	fmt.Fprintln(os.Stderr, "demo:", err)
	os.Exit(1)
}

// build builds what the demo cannot begin without, and returns its path. What the network has is downloaded instead.
func build(ctx context.Context, demo string) (path string, err error) {
	controlPlane := []binaries.Program{binaries.Etcd(), binaries.KubeAPIServer()}
	built, err := binaries.Built(controlPlane...)
	if err != nil {
		return "", err
	}
	if !built {
		download(ctx)
	}
	program := func(p binaries.Program) step {
		return step{p.Name, func(ctx context.Context) error { return second(binaries.Path(ctx, os.Stdout, p)) }}
	}
	steps := []step{
		program(binaries.Etcd()),
		// Before the API server, which has most of the same packages, so that the demo can be built at the same time as the rest of it.
		{"NodeRestriction-plus", func(ctx context.Context) error {
			return second(binaries.Product(ctx, os.Stdout, binaries.Plain()))
		}},
		{"kube-apiserver and the demo", func(ctx context.Context) error {
			built := make(chan error, 1)
			go func() { built <- second(binaries.Path(ctx, os.Stdout, binaries.KubeAPIServer())) }()
			var err error
			path, err = binaries.Demo(ctx, os.Stdout, demo)
			return errors.Join(err, <-built)
		}},
	}
	if demo == "replay" {
		steps = append(steps, program(binaries.Kubelet()), program(binaries.Kubectl()))
	}
	for i, s := range steps {
		fmt.Printf("%d of %d: %s\n", i+1, len(steps), s.name)
		if err := s.run(ctx); err != nil {
			return "", err
		}
	}
	return path, nil
}

// step is a part of the build.
type step struct {
	name string
	run  func(context.Context) error
}

func second(_ string, err error) error { return err }

// download makes this process, and the demo that it becomes, use downloaded programs if the network has them.
func download(ctx context.Context) {
	dir, err := binaries.Download(ctx, os.Stdout)
	if err == nil {
		err = os.Setenv("KUBEBUILDER_ASSETS", dir)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Printf("Building etcd and kube-apiserver, once for all clones, because they cannot be downloaded: %v\n", err)
	}
}
