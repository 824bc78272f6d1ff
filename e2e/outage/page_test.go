// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
)

var update = flag.Bool("update", false, "rewrite docs/when-it-is-down.md")

const pageHead = `<!-- Generated from the tests in e2e/outage, which show each row: go -C e2e test ./outage -run TestPageIsCurrent -update -->

# What happens when it is down

Every row is a test. It runs what the chart installs with its defaults (profile "balanced", three replicas) and policies that deny,
in a real control plane with its controllers and scheduler, and with real kubelets. "make outage" runs them all.

## While no replica answers

The result of a write with a kubelet's credential:

| write | |
|---|---|
`

const pageMiddle = `
A write is refused immediately if the Service has no endpoint, and after 2 s while a lost replica is still an endpoint, which lasts
until its node is marked NotReady: 50 s in most clusters. If another client changes the object in that time, the write waits once
more. Other clients than kubelets are not affected: their requests are never sent to the webhook.

With ` + "`policies.distribution`" + `, the writes of the distribution's agents pass, too: the annotations, labels, cordons and evictions that
[its policy](distributions.md) allows, also through an update of the Node itself. This applies even if ` + "`policies.recommended`" + ` is
Off and another policy denies them. A test sends the writes of each distribution while nothing answers.

What is refused violates a rule in a way that no stock kubelet does, or a list of a policy of the chart that denies. The API server
evaluates that itself, by conditions that are generated from the rules. It does not know policies that you apply yourself, nor
sections in ` + "`policies.extra`" + ` and ` + "`policies.adapt`" + `, unless [` + "`kubectl nrp compile --to values`" + `](compile.md#for-the-chart) prints them
for ` + "`policies.conditions`" + `. What it cannot tell, such as lookups and very long lists, passes.

With ` + "`webhook.followPolicies`" + `, everything that a policy in force denies is refused, as far as CEL can express it, also what you applied
yourself: [follow-policies.md](follow-policies.md).

To end the refusals immediately: kubectl delete validatingwebhookconfiguration node-restriction-plus

## Outages

| | kubelets | enforced | recorded | recovery |
|---|---|---|---|---|
`

// page returns the page.
func page() []byte {
	var b bytes.Buffer
	b.WriteString(pageHead)
	for _, w := range outageWrites() {
		fmt.Fprintf(&b, "| %s | %s |\n", w.name, resultOf(w.want))
	}
	b.WriteString(pageMiddle)
	for _, s := range scenarios() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.name, s.kubelets, s.enforced, s.recorded, s.recovers)
	}
	return b.Bytes()
}

// TestPageIsCurrent checks that the page says what these tests show.
func TestPageIsCurrent(t *testing.T) {
	root, err := project.Root()
	suite.Check(t, err)
	path := filepath.Join(root, "docs", "when-it-is-down.md")
	if *update {
		suite.Check(t, os.WriteFile(path, page(), 0o644))
		return
	}
	data, err := os.ReadFile(path)
	suite.Check(t, err)
	if !bytes.Equal(data, page()) {
		t.Errorf("%s is not current: run go -C e2e test ./outage -run TestPageIsCurrent -update", path)
	}
}
