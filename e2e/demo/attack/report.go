// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"noderestriction.plus/e2e/demo/stage"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/internal/attack"
)

// report compares the outcomes and shows the record and the counts. It fails if an attempt was not allowed without the product, or not
// denied with it.
func (d *demo) report(ctx context.Context, without, with []stage.Outcome) error {
	denied, err := d.records()
	if err != nil {
		return err
	}
	d.Screen.Title("In short")
	table := tabwriter.NewWriter(d.Screen, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  with the kubelet's credential\tstock Kubernetes\twith NodeRestriction-plus")
	for i, o := range with {
		if without[i].Refusal != nil || o.Refusal == nil {
			return fmt.Errorf("%s: want it allowed without and denied with the product", o.Attempt.What)
		}
		if !slices.ContainsFunc(denied, o.Attempt.IsRecordedIn) {
			return fmt.Errorf("%s: no record by %s", o.Attempt.What, o.Attempt.Rule)
		}
		fmt.Fprintf(table, "  %s\tallowed\tdenied by %s\n", o.Attempt.What, o.Attempt.Rule)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := d.showRecord(denied[0]); err != nil {
		return err
	}
	if err := d.showCounts(ctx, len(denied)); err != nil {
		return err
	}
	if err := d.catalogue(ctx); err != nil {
		return err
	}
	d.Screen.Title("Look further")
	d.Screen.Line("make demo KEEP=1                            leaves everything running")
	d.Screen.Line("kubectl explain nrp.spec.nodes.labels       what a policy can say")
	d.Screen.Line("bin/kubectl-nrp attack --as-node worker-1   each attack, and who stops it           (with KEEP=1, make build)")
	d.Screen.Line("bin/kubectl-nrp explain node-labels         why, and what a kubelet writes   (make build)")
	d.Screen.Line("README.md, docs/rules.md                    how to install it; all rules")
	return nil
}

// catalogue tries all attacks that are known, as dry runs. It fails if one that the policy forbids was not stopped.
func (d *demo) catalogue(ctx context.Context) error {
	d.Screen.Title("The whole catalogue of attacks, as dry runs: kubectl nrp attack --as-node %s", stage.Node)
	config, err := d.ControlPlane.Admin()
	if err != nil {
		return err
	}
	result, err := attack.Run(ctx, config, attack.Options{AsNode: stage.Node})
	if err != nil {
		return err
	}
	for _, sentence := range result.Summary() {
		d.Screen.Line("%s", sentence)
	}
	return result.Err()
}

// records returns the records of the attacker's denials.
func (d *demo) records() ([]product.Line, error) {
	lines, err := d.Product.Records.Since(0)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(lines), func(l product.Line) bool { return l.Node != stage.Node }), nil
}

func (d *demo) showRecord(line product.Line) error {
	d.Screen.Title("The record of the first denial: one JSON line on standard output, formatted here")
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(line.Text), "  ", "  "); err != nil {
		return err
	}
	d.Screen.Line("%s", pretty.String())
	return nil
}

// showCounts shows the output of kubectl after the product has written the status of the policy, which it does every 10 seconds.
func (d *demo) showCounts(ctx context.Context, want int) error {
	if err := d.AwaitKubectl(ctx); err != nil {
		return err
	}
	d.Screen.Title("The counts: %d records, and the policy's own", want)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := d.Product.Process().Await(ctx, func(ctx context.Context) error {
		total, err := d.Kubectl.Run(ctx, nil, "get", "nrp", "recommended", "--output=jsonpath={.status.violations.denied.total}")
		if err == nil && total != fmt.Sprint(want) {
			err = fmt.Errorf("the policy counts %q denials, want %d", total, want)
		}
		return err
	}); err != nil {
		return err
	}
	out, err := d.Kubectl.Run(ctx, nil, "get", "nrp")
	if err != nil {
		return err
	}
	d.Screen.Line("kubectl get nrp\n  %s", strings.ReplaceAll(strings.TrimSpace(out), "\n", "\n  "))
	return nil
}
