// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"noderestriction.plus/e2e/project"
)

// Helm returns the path of helm, which the Makefile builds as one of the project's tools: NRP_HELM, or the Makefile's cache. It is
// built if necessary.
func Helm(ctx context.Context, log io.Writer) (string, error) {
	root, err := project.Root()
	if err != nil {
		return "", err
	}
	path := os.Getenv("NRP_HELM")
	if path == "" {
		out, err := runMake(ctx, root, io.Discard, "helm-path")
		if err != nil {
			return "", err
		}
		path = strings.TrimSpace(out)
	}
	if isExecutable(path) {
		return path, nil
	}
	_, err = runMake(ctx, root, log, path)
	return path, err
}

// runMake makes a target and returns its output, which also goes to the log.
func runMake(ctx context.Context, root string, log io.Writer, target string) (string, error) {
	var out, errors bytes.Buffer
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "--silent", "-C", root, target)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, log), &errors
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("make %s: %w\n%s", target, err, errors.Bytes())
	}
	return out.String(), nil
}
