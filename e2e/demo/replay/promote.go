// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
)

// promote asks for the policy that denies, which is refused because a week is not over.
func (d *demo) promote(ctx context.Context) error {
	records, err := os.ReadFile(d.Product.Records.Path())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "records.log"), records, 0o600); err != nil {
		return err
	}
	if err := d.do(ctx, &step{line: "kubectl get nrp", wants: []string{"learned"}}); err != nil {
		return err
	}
	return d.do(ctx, &step{
		title: "From Audit to Deny: refused, because the policy has proved itself for seconds and not for a week",
		line:  "kubectl get nrp learned -o yaml | kubectl nrp promote --window 7d --records records.log -",
		code:  1, wants: []string{"in-force", "which is less than the window"},
	})
}
