// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"testing"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// countingFacts counts the lookups that must be answered from memory.
type countingFacts struct {
	policy.Facts
	nodes, addresses, providerIDs int
}

func (f *countingFacts) Node(name string) (*object.Metadata, bool, error) {
	f.nodes++
	return f.Facts.Node(name)
}

func (f *countingFacts) NodesAt(address string) ([]string, error) {
	f.addresses++
	return f.Facts.NodesAt(address)
}

func (f *countingFacts) NodesOf(machine string) ([]string, error) {
	f.providerIDs++
	return f.Facts.NodesOf(machine)
}

func TestSetSaysWhatItLooksUp(t *testing.T) {
	var asked countingFacts
	for _, f := range allFixtures(t) {
		set := setOf(t, f)
		facts := &countingFacts{Facts: f.Request.Facts}
		if facts.Facts == nil {
			facts.Facts = policy.StaticFacts{}
		}
		r := f.Request
		r.Facts = facts
		set.Evaluate(&r)
		if facts.nodes > 0 && !set.LooksUpNodes() || facts.addresses > 0 && !set.LooksUpAddresses() ||
			facts.providerIDs > 0 && !set.LooksUpProviderIDs() {
			t.Errorf("%s: a set looks up what it says it does not", f.Comment)
		}
		asked.nodes += facts.nodes
		asked.addresses += facts.addresses
		asked.providerIDs += facts.providerIDs
	}
	if asked.nodes == 0 || asked.addresses == 0 || asked.providerIDs == 0 {
		t.Errorf("the fixtures look up %d nodes, %d addresses, %d provider IDs", asked.nodes, asked.addresses, asked.providerIDs)
	}
}
