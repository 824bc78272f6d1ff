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
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/project"
)

// Name is the name of the product's objects and of the namespace of its chart.
const Name = "node-restriction-plus"

// CRD returns the CRD of the product's policies.
func CRD() ([]byte, error) {
	return project.ReadFile("config", "crd", "noderestriction.plus_noderestrictionpolicies.yaml")
}

// ApplyCRD applies the CRD of the product's policies.
func ApplyCRD(ctx context.Context, admin kubectl.Kubectl) error {
	crd, err := CRD()
	if err != nil {
		return err
	}
	return admin.Apply(ctx, crd)
}

// Installer installs manifests in a cluster.
type Installer interface {
	// Apply applies manifests and becomes the owner of their fields.
	Apply(ctx context.Context, manifests []byte) error
	// Template renders the chart for a release of Kubernetes, such as v1.37.2, with values in the form of helm's flag --set.
	Template(ctx context.Context, kubeVersion string, values []string) ([]byte, error)
}

// Programs installs with kubectl and Helm, as users do.
type Programs struct {
	kubectl.Kubectl
	Helm string // path
}

// Template implements [Installer].
func (p Programs) Template(ctx context.Context, kubeVersion string, values []string) ([]byte, error) {
	root, err := project.Root()
	if err != nil {
		return nil, err
	}
	args := []string{"template", filepath.Join(root, "charts", Name), "--kube-version=" + kubeVersion}
	for _, value := range values {
		args = append(args, "--set="+value)
	}
	return render(ctx, p.Helm, args)
}

// Install installs the product outside the cluster: it applies its CRD and the webhooks of its chart, starts the program, and waits until
// these API servers call it.
func Install(ctx context.Context, o Options, with Installer, servers ...*controlplane.APIServer) (*Product, error) {
	crd, err := CRD()
	if err != nil {
		return nil, err
	}
	if err := with.Apply(ctx, crd); err != nil {
		return nil, err
	}
	p, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	err = p.configure(ctx, with)
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

// Configure applies the chart for this program with these values, each in the form of helm's flag --set. API servers notice the
// change a moment later.
func (p *Product) Configure(ctx context.Context, admin kubectl.Kubectl, helm string, values ...string) error {
	return p.configure(ctx, Programs{Kubectl: admin, Helm: helm}, values...)
}

func (p *Product) configure(ctx context.Context, with Installer, values ...string) error {
	chart, err := p.template(ctx, with, values...)
	if err != nil {
		return err
	}
	return with.Apply(ctx, chart)
}

// ApplyRoles applies what the chart grants the product with these values, each in the form of helm's flag --set. It is for a product that
// has not been started yet.
func ApplyRoles(ctx context.Context, admin kubectl.Kubectl, helm string, values ...string) error {
	root, err := project.Root()
	if err != nil {
		return err
	}
	args := []string{"template", filepath.Join(root, "charts", Name), "--show-only=templates/rbac.yaml", "--set=webhook.url=https://127.0.0.1"}
	for _, value := range values {
		args = append(args, "--set="+value)
	}
	roles, err := render(ctx, helm, args)
	if err != nil {
		return err
	}
	return admin.Apply(ctx, roles)
}

// WriteBaseConditions writes the file of serve's flag --base-conditions, which the chart renders with webhook.followPolicies and these
// values. It does not depend on where the program is.
func WriteBaseConditions(ctx context.Context, helm, path string, values ...string) error {
	p := &Product{URL: "https://127.0.0.1"}
	chart, err := p.Render(ctx, helm, append([]string{"webhook.followPolicies=true"}, values...)...)
	if err != nil {
		return err
	}
	for document := range strings.SplitSeq(string(chart), "\n---\n") {
		var m corev1.ConfigMap
		if err := yaml.Unmarshal([]byte(document), &m); err != nil || m.Data["conditions.json"] == "" {
			continue // an object of another kind
		}
		return os.WriteFile(path, []byte(m.Data["conditions.json"]), 0o600)
	}
	return errors.New("the chart renders no base conditions")
}

// Render renders the chart for this program, which is outside the cluster, with these values.
func (p *Product) Render(ctx context.Context, helm string, values ...string) ([]byte, error) {
	return p.template(ctx, Programs{Helm: helm}, values...)
}

func (p *Product) template(ctx context.Context, with Installer, values ...string) ([]byte, error) {
	version, err := binaries.KubeAPIServer().Version()
	if err != nil {
		return nil, err
	}
	// Tests bring their own policies.
	set := []string{"webhook.url=" + p.URL, "policies.recommended=Off"}
	if p.options.CA != nil {
		set = append(set, "webhook.caBundle="+base64.StdEncoding.EncodeToString(p.options.CA.PEM()))
	}
	return with.Template(ctx, version, append(set, values...))
}

// render returns what helm prints.
func render(ctx context.Context, helm string, args []string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, helm, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("helm template: %w\n%s", err, exit.Stderr)
	}
	return out, err
}
