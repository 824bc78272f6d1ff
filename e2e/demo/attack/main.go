// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command attack shows the product at work: a real control plane, and an attacker with a kubelet's credential, first without and then with
// the product; then a real kubelet under the same policy. Everything runs on the loopback interface and is stopped at the end.
//
// With KEEP=1 in the environment it leaves everything running until Ctrl-C, and prints how to connect.
package main

import (
	"context"
	"fmt"

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

// run shows the attacks before the real kubelet, which takes minutes to build the first time.
func (d *demo) run(ctx context.Context) error {
	if err := d.StartCluster(ctx, controlplane.APIServerOptions{}); err != nil {
		return err
	}
	if err := d.Register(ctx); err != nil {
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
	if err := d.live(ctx); err != nil {
		return err
	}
	if err := d.report(ctx, without, with); err != nil {
		return err
	}
	d.Keep(ctx)
	return nil
}

// install installs the product and the policy.
func (d *demo) install(ctx context.Context) error {
	d.Screen.Title("Installing NodeRestriction-plus, and config/policies/recommended.yaml")
	if err := d.Install(ctx); err != nil {
		return err
	}
	recommended, err := project.ReadFile("config", "policies", "recommended.yaml")
	if err != nil {
		return err
	}
	if err := d.Apply(ctx, recommended); err != nil {
		return err
	}
	d.Screen.Line("config/policies/recommended.yaml is applied")
	return product.AwaitReady(ctx, d.Policies, "recommended")
}

// live starts a real kubelet, and restarts it. The policy must deny nothing that it writes.
func (d *demo) live(ctx context.Context) error {
	d.Screen.Title("A real kubelet, under the same policy")
	before, err := d.records()
	if err != nil {
		return err
	}
	if _, err := d.AddKubelet(ctx, kubelet.Options{Node: stage.Node, Labels: []string{"example.com/rack=r1"}}); err != nil {
		return err
	}
	if err := d.RestartKubelets(ctx); err != nil {
		return err
	}
	after, err := d.records()
	if err != nil {
		return err
	}
	if len(after) > len(before) {
		return fmt.Errorf("the kubelet was denied a write: %s", after[len(before)].Text)
	}
	d.Screen.Line("it was restarted, and none of its writes was denied")
	return nil
}
