// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package product

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/project"
)

// Install installs the product as the README says for one outside the cluster: the CRD of its policies and its webhooks
// by kubectl, as its chart has them, and the program by starting it. It waits until these API servers call it.
func Install(
	ctx context.Context, o Options, admin kubectl.Kubectl, helm string, servers ...*controlplane.APIServer,
) (*Product, error) {
	root, err := project.Root()
	if err != nil {
		return nil, err
	}
	crd, err := os.ReadFile(filepath.Join(root, "config", "crd", "noderestriction.plus_noderestrictionpolicies.yaml"))
	if err != nil {
		return nil, err
	}
	if err := admin.Apply(ctx, crd); err != nil {
		return nil, err
	}
	p, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	err = p.Configure(ctx, admin, helm)
	for _, server := range servers {
		if err == nil {
			err = p.AwaitCalled(ctx, server)
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// Configure applies what the chart has for this program with these values, each as helm's flag --set has it. API servers
// learn of it a moment later.
func (p *Product) Configure(ctx context.Context, admin kubectl.Kubectl, helm string, values ...string) error {
	chart, err := p.Render(ctx, helm, values...)
	if err != nil {
		return err
	}
	return admin.Apply(ctx, chart)
}

// Render renders the chart for this program, which is outside the cluster, with these values.
func (p *Product) Render(ctx context.Context, helm string, values ...string) ([]byte, error) {
	root, err := project.Root()
	if err != nil {
		return nil, err
	}
	args := []string{
		"template", filepath.Join(root, "charts", "node-restriction-plus"),
		"--set=webhook.url=" + p.URL,
		"--set=webhook.caBundle=" + base64.StdEncoding.EncodeToString(p.options.CA.PEM()),
		"--set=policies.recommended=Off", // whoever installs it brings policies
	}
	for _, value := range values {
		args = append(args, "--set="+value)
	}
	cmd := exec.CommandContext(ctx, helm, args...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("helm template: %w\n%s", err, exit.Stderr)
	}
	return out, err
}
