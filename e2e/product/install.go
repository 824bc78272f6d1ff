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
	chart, err := p.renderChart(ctx, helm, root)
	if err == nil {
		err = admin.Apply(ctx, chart)
	}
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

// renderChart renders the chart for this program, which is outside the cluster.
func (p *Product) renderChart(ctx context.Context, helm, root string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, helm, "template", filepath.Join(root, "charts", "node-restriction-plus"),
		"--set=webhook.url="+p.URL,
		"--set=webhook.caBundle="+base64.StdEncoding.EncodeToString(p.options.CA.PEM()))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("helm template: %w\n%s", err, exit.Stderr)
	}
	return out, err
}
