// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command replay shows the way from an audit log to a policy: real kubelets, an agent and an attacker write to a real API server with
// the audit policy of docs/replay.md, and the command-line tool then reads its log. Everything runs on the loopback interface and is
// stopped at the end. The audit log, the records and the policies stay in a directory that it names.
//
// With KEEP=1 in the environment it leaves everything running until Ctrl-C, and prints how to connect.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/demo/stage"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
)

func main() {
	stage.Main(func(ctx context.Context, d *stage.Demo) error { return (&demo{Demo: d}).run(ctx) })
}

// demo is the demo with the directory that stays, in which the user works.
type demo struct {
	*stage.Demo
	dir     string
	inForce time.Time // since when the learned policy is in force, at the latest
}

// margin is between the moment at which the policy is in force and the first write that it evaluates, so that a window begins between them.
const margin = 5 * time.Second

func (d *demo) run(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	policy := filepath.Join(d.dir, "audit-policy.yaml")
	if err := suite.WriteAuditPolicy(policy); err != nil {
		return err
	}
	if err := d.StartCluster(ctx, controlplane.APIServerOptions{Args: []string{"--audit-policy-file=" + policy}}); err != nil {
		return err
	}
	if err := d.AwaitKubectl(ctx); err != nil {
		return err
	}
	if err := d.live(ctx); err != nil {
		return err
	}
	outcomes, err := d.Attack(ctx, "An attacker holds the credential of a kubelet, and no policy is in force")
	if err != nil {
		return err
	}
	for i := range outcomes {
		if o := &outcomes[i]; o.Refusal != nil {
			return fmt.Errorf("%s: want it allowed: %w", o.Attempt.What, o.Refusal)
		}
	}
	if err := d.saveAuditLog(ctx, outcomes[len(outcomes)-1].Attempt); err != nil {
		return err
	}
	if err := d.fit(ctx, outcomes); err != nil {
		return err
	}
	if err := d.audit(ctx); err != nil {
		return err
	}
	return d.promote(ctx)
}

// prepare makes the directory that stays, with the commands and the policy recommended.
func (d *demo) prepare(ctx context.Context) error {
	var err error
	if d.dir, err = os.MkdirTemp("", "nrp-from-log-"); err != nil {
		return err
	}
	d.Screen.Title("Building kubectl-nrp; all files will be in %s", d.dir)
	plugin, err := binaries.CommandLine(ctx, d.Screen)
	if err != nil {
		return err
	}
	kubectl, err := binaries.Path(ctx, d.Screen, binaries.Kubectl())
	if err != nil {
		return err
	}
	if err := os.Mkdir(d.bin(), 0o755); err != nil {
		return err
	}
	for name, path := range map[string]string{"kubectl": kubectl, "kubectl-nrp": plugin} {
		if err := os.Symlink(path, filepath.Join(d.bin(), name)); err != nil {
			return err
		}
	}
	recommended, err := project.ReadFile("config", "policies", "recommended.yaml")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.dir, "recommended.yaml"), recommended, 0o600)
}

// bin returns the directory with links to kubectl and its plugin.
func (d *demo) bin() string { return filepath.Join(d.dir, "bin") }

// fit replays the log, learns a policy from it, and compares both policies.
func (d *demo) fit(ctx context.Context, attacks []stage.Outcome) error {
	var rules []string
	for i := range attacks {
		rules = append(rules, attacks[i].Attempt.Rule)
	}
	for _, s := range []step{
		{
			title: "What would recommended have denied? The attacks, and an agent that somebody needs",
			line:  "kubectl nrp replay --policy recommended.yaml --audit-log audit.log " + single,
			code:  1, wants: append([]string{"node-annotations", "pressure.example.com/"}, rules...),
		},
		{
			title: "Learn what the agent needs. Nothing is learned from the attacks, so that the exit code is 1",
			line:  "kubectl nrp learn --audit-log audit.log " + single + " --agents kubelet,example-agent > learned.yaml",
			code:  1, wants: []string{"would deny 5 writes"},
		},
		{
			line: "grep -e '^# ' -e REVIEW -e pressure.example.com learned.yaml", // the evidence
			wants: []string{
				"this policy would deny 5.", "- pressure.example.com/* # 3 values, 3 nodes", "- example.com/dedicated # REVIEW",
				"# - node-finalizers: ", "# - pod-metadata: ",
			},
		},
		{title: "Is it valid, and what has changed?", line: "kubectl nrp check learned.yaml"},
		{
			line:  "kubectl nrp diff recommended.yaml learned.yaml",
			wants: []string{"spec.nodes.annotations.allowed", "wider"},
		},
		{
			title: "What would the learned policy have denied? Only the attacks",
			line:  "kubectl nrp replay --policy learned.yaml --audit-log audit.log " + single,
			code:  1, wants: rules, not: "pressure.example.com/",
		},
	} {
		if err := d.do(ctx, &s); err != nil {
			return err
		}
	}
	return nil
}

// audit installs the product and applies the policy, which only records. A new node, all kubelets and the agent pass.
func (d *demo) audit(ctx context.Context) error {
	d.Screen.Title("Installing NodeRestriction-plus")
	if err := d.Install(ctx); err != nil {
		return err
	}
	if err := d.do(ctx, &step{
		title: "Apply the policy, which only records: validationActions: [Audit]",
		line:  "kubectl apply -f learned.yaml",
	}); err != nil {
		return err
	}
	if err := product.AwaitReady(ctx, d.Policies, "learned"); err != nil {
		return err
	}
	d.inForce = time.Now()
	select {
	case <-time.After(margin):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := d.exercise(ctx); err != nil {
		return err
	}
	return d.do(ctx, &step{
		title: "A write that violates it, as a dry run: its record shows that the webhook works",
		line: "kubectl annotate node " + stage.Node + " example.com/attack=1 --dry-run=server" +
			" --as=system:node:" + stage.Node + " --as-group=system:nodes",
	})
}
