// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/product"
)

// promote asks for the policy that denies: in vain, because a week is not over, and then for a window of seconds. It denies the attacks.
func (d *demo) promote(ctx context.Context) error {
	if err := d.awaitEvaluated(ctx); err != nil {
		return err
	}
	records, err := os.ReadFile(d.Product.Records.Path())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "records.log"), records, 0o600); err != nil {
		return err
	}
	const promote = "kubectl get nrp learned -o yaml | kubectl nrp promote --records records.log "
	window := time.Since(d.inForce).Truncate(time.Second) // the policy is in force for a little longer
	for _, s := range []step{
		{line: "kubectl get nrp", wants: []string{"learned"}},
		{
			title: "From Audit to Deny: refused, because the policy has not proved itself for a week",
			line:  promote + "--window 7d -",
			code:  1, wants: []string{"in-force", "which is less than the window"}, not: "exercised",
		},
		{
			title: "Only for this demo: a window of seconds. Every other gate passes",
			line:  promote + fmt.Sprintf("--window %s - > deny.yaml", window),
		},
		{line: "kubectl nrp diff learned.yaml deny.yaml", code: 1, wants: []string{"spec.validationActions", "narrower"}},
		{line: "kubectl apply -f deny.yaml"},
	} {
		if err := d.do(ctx, &s); err != nil {
			return err
		}
	}
	if err := product.AwaitReady(ctx, d.Policies, "learned"); err != nil {
		return err
	}
	outcomes, err := d.Attack(ctx, "The same attacks again, and the agent")
	if err != nil {
		return err
	}
	for i := range outcomes {
		if o := &outcomes[i]; o.Refusal == nil {
			return fmt.Errorf("%s: want it denied by %s", o.Attempt.What, o.Attempt.Rule)
		}
	}
	if err := d.agent(ctx, 30, append(nodes(), newNode)); err != nil {
		return err
	}
	d.Screen.Title("Try more")
	d.Screen.Line("cd %s; export PATH=$PWD/bin:$PATH", d.dir)
	d.Screen.Line("audit.log, records.log, learned.yaml, deny.yaml   what was made here")
	d.Screen.Line("kubectl nrp replay --policy deny.yaml --audit-log audit.log %s --list", single)
	d.Screen.Line("docs/from-audit-to-deny.md                        the same with your cluster")
	d.Screen.Line("make demo-replay KEEP=1                           leaves everything running")
	d.Keep(ctx)
	return nil
}

// awaitEvaluated waits until the status says that the policy has evaluated the kinds of writes that its rules are about.
func (d *demo) awaitEvaluated(ctx context.Context) error {
	return d.await(ctx, func(ctx context.Context) error {
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := d.Policies.Get(ctx, client.ObjectKey{Name: "learned"}, p); err != nil {
			return err
		}
		if p.Status == nil || p.Status.Evaluated == nil {
			return errors.New("no replica has reported what the policy has evaluated")
		}
		for _, want := range []string{"CREATE nodes", "UPDATE nodes/status", "CREATE pods", "UPDATE pods/status", "DELETE pods"} {
			if !slices.ContainsFunc(p.Status.Evaluated.Writes, func(w v1alpha1.EvaluatedWrites) bool { return w.Write == want }) {
				return fmt.Errorf("the policy has not evaluated %s", want)
			}
		}
		return nil
	})
}
