// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command attack shows the product at work: a real control plane, a real kubelet, and an attacker with the kubelet's credential, first
// without and then with the product. Everything runs on the loopback interface and is stopped at the end.
//
// With KEEP=1 in the environment it leaves everything running until Ctrl-C, and prints how to connect.
package main

import (
	"context"
	"path/filepath"
	"strings"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/demo/stage"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
)

func main() {
	stage.Main(func(ctx context.Context, d *stage.Demo) error { return (&demo{d}).run(ctx) })
}

// demo is the demo with its report.
type demo struct{ *stage.Demo }

func (d *demo) run(ctx context.Context) error {
	if err := d.StartCluster(ctx, controlplane.APIServerOptions{}); err != nil {
		return err
	}
	if _, err := d.AddKubelet(ctx, kubelet.Options{Node: stage.Node, Labels: []string{"example.com/rack=r1"}}); err != nil {
		return err
	}
	without, err := d.Attack(ctx, "Without NodeRestriction-plus: the attacker holds the kubelet's credential")
	if err != nil {
		return err
	}
	if err := d.install(ctx); err != nil {
		return err
	}
	with, err := d.Attack(ctx, "With NodeRestriction-plus: the same attacks again")
	if err != nil {
		return err
	}
	if err := d.report(ctx, without, with); err != nil {
		return err
	}
	d.Keep(ctx)
	return nil
}

// install installs the product and the policy, and restarts the kubelet, which the webhook now evaluates.
func (d *demo) install(ctx context.Context) error {
	d.Screen.Title("Installing NodeRestriction-plus, and config/policies/recommended.yaml")
	if err := d.Install(ctx); err != nil {
		return err
	}
	root, err := project.Root()
	if err != nil {
		return err
	}
	out, err := d.Kubectl.Run(ctx, nil, "apply", "--filename", filepath.Join(root, "config", "policies", "recommended.yaml"))
	if err != nil {
		return err
	}
	d.Screen.Line("kubectl apply -f config/policies/recommended.yaml: %s", firstLine(out))
	if err := product.AwaitReady(ctx, d.Policies, "recommended"); err != nil {
		return err
	}
	return d.RestartKubelets(ctx)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
