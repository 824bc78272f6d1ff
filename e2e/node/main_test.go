// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node_test runs the product in its own image, in real pods on real nodes, and kubelets that run containers under the strictest
// policies. It needs root on Linux; without, it fails and says so.
package node_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/node"
	"noderestriction.plus/e2e/sandbox"
	"noderestriction.plus/e2e/suite"
)

// TestMain runs the tests in a sandbox.
func TestMain(m *testing.M) {
	if sandbox.Inside() {
		suite.Main(m)
	}
	code, err := sandbox.Run(func() error { return build(context.Background(), os.Stderr) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "make node:", err)
		code = max(1, code)
	}
	os.Exit(code)
}

// Environment variables with the paths of what is built from the clone, which inside the sandbox takes time and may need the network. Each
// can name another one before.
const (
	productVariable   = "NRP_PRODUCT"
	imageVariable     = "NRP_IMAGE"
	pluginVariable    = "NRP_PLUGIN"
	containerVariable = "NRP_CONTAINER"
)

// build finds or builds every program, because the sandbox cannot download anything.
func build(ctx context.Context, log io.Writer) error {
	if _, err := node.Programs(ctx, log); err != nil {
		return err
	}
	for _, p := range []binaries.Program{
		binaries.Etcd(), binaries.KubeAPIServer(), binaries.KubeControllerManager(), binaries.KubeScheduler(), binaries.Kubectl(),
	} {
		if _, err := binaries.Path(ctx, log, p); err != nil {
			return err
		}
	}
	if _, err := binaries.Helm(ctx, log); err != nil {
		return err
	}
	for variable, build := range map[string]func(context.Context, io.Writer) (string, error){
		productVariable: func(ctx context.Context, log io.Writer) (string, error) {
			return binaries.Product(ctx, log, binaries.Plain())
		},
		imageVariable: binaries.Image, pluginVariable: binaries.CommandLine, containerVariable: binaries.Container,
	} {
		if os.Getenv(variable) != "" {
			continue
		}
		path, err := build(ctx, log)
		if err != nil {
			return err
		}
		if err := os.Setenv(variable, path); err != nil {
			return err
		}
	}
	return nil
}
