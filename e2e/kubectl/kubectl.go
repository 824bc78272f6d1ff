// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubectl runs kubectl.
package kubectl

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Kubectl is kubectl with a kubeconfig.
type Kubectl struct {
	Path       string
	Kubeconfig string
}

// Error is the error output of kubectl.
type Error struct {
	Args   []string
	Stderr string
}

func (e *Error) Error() string {
	return fmt.Sprintf("kubectl %s: %s", strings.Join(e.Args, " "), e.Stderr)
}

// Run runs kubectl with an input, which may be nil, and returns its output. If kubectl fails, the error is an [*Error].
func (k Kubectl) Run(ctx context.Context, input []byte, args ...string) (string, error) {
	// A persistent discovery cache would miss a CRD that was added in the meantime.
	cache, err := os.MkdirTemp("", "kubectl-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(cache)
	flags := []string{"--kubeconfig=" + k.Kubeconfig, "--cache-dir=" + cache}
	cmd := exec.CommandContext(ctx, k.Path, append(flags, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(stderr.String())
		if text == "" {
			text = err.Error()
		}
		return stdout.String(), &Error{Args: args, Stderr: text}
	}
	return stdout.String(), nil
}

// Apply applies manifests and becomes the owner of their fields.
func (k Kubectl) Apply(ctx context.Context, manifests []byte) error {
	_, err := k.Run(ctx, manifests, "apply", "--server-side", "--force-conflicts", "--filename=-")
	return err
}
