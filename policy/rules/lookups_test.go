// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"testing"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// countingFacts counts lookups of the metadata of Nodes.
type countingFacts struct {
	policy.Facts
	nodes int
}

func (f *countingFacts) Node(name string) (*object.Metadata, bool, error) {
	f.nodes++
	return f.Facts.Node(name)
}

func TestSetSaysWhetherItLooksUpNodes(t *testing.T) {
	asked := 0
	for _, f := range allFixtures(t) {
		set := setOf(t, f)
		facts := &countingFacts{Facts: f.Request.Facts}
		if facts.Facts == nil {
			facts.Facts = policy.StaticFacts{}
		}
		r := f.Request
		r.Facts = facts
		set.Evaluate(&r)
		if facts.nodes > 0 && !set.LooksUpNodes() {
			t.Errorf("%s: Nodes were looked up by a set that says it does not", f.Comment)
		}
		asked += facts.nodes
	}
	if asked == 0 {
		t.Error("no fixture looks up a Node")
	}
}
