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
)

var update = flag.Bool("update", false, "rewrite docs/when-it-is-down.md")

const pageHead = `<!-- Generated from the tests in e2e/outage, which show each row: go -C e2e test ./outage -run TestPageIsCurrent -update -->

# What happens when it is down

Every row is a test: what the chart installs, with its defaults (profile "balanced", three replicas) and policies that deny,
under a real control plane with its controllers and scheduler, and real kubelets. "make outage" goes through all of them.

## While no replica answers

What becomes of a write with a kubelet's credential:

| write | |
|---|---|
`

const pageMiddle = `
A refused write ends at once where the Service has no endpoint left, and after 2 s where the API server still takes a lost
replica for one, which it does until the controllers take its node for lost: 50 s on most clusters. If somebody else has
changed the object in that time, it waits once more. Everybody who is not a kubelet is not concerned: never sent to it.

To end the refusals at once: kubectl delete validatingwebhookconfiguration node-restriction-plus

## Ways of being down

| | kubelets | enforced | recorded | recovers |
|---|---|---|---|---|
`

// page is the page of docs.
func page() []byte {
	var b bytes.Buffer
	b.WriteString(pageHead)
	for _, w := range outageWrites() {
		fmt.Fprintf(&b, "| %s | %s |\n", w.name, becomes(w.want))
	}
	b.WriteString(pageMiddle)
	for _, s := range scenarios() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.name, s.kubelets, s.enforced, s.recorded, s.recovers)
	}
	return b.Bytes()
}

// TestPageIsCurrent checks that the page of docs says what the tests here show.
func TestPageIsCurrent(t *testing.T) {
	root, err := project.Root()
	check(t, err)
	path := filepath.Join(root, "docs", "when-it-is-down.md")
	if *update {
		check(t, os.WriteFile(path, page(), 0o644))
		return
	}
	data, err := os.ReadFile(path)
	check(t, err)
	if !bytes.Equal(data, page()) {
		t.Errorf("%s is not current: go -C e2e test ./outage -run TestPageIsCurrent -update", path)
	}
}
