// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package stockwrites_test

import (
	"os"
	"testing"

	"noderestriction.plus/internal/shapetest"
	"noderestriction.plus/internal/stockwrites"
	"noderestriction.plus/policy/rules"
)

// TestEachRecordedWriteIsKnown demands that the list has every kind of write that real kubelets were seen to write.
func TestEachRecordedWriteIsKnown(t *testing.T) {
	data, err := os.ReadFile("../../policy/rules/testdata/shapes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	shapes, err := shapetest.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	known := map[stockwrites.Write]bool{}
	for _, w := range stockwrites.All() {
		known[w.Write] = true
	}
	seen := 0
	for i := range shapes {
		r := &shapes[i].Request
		seen++
		if w := (stockwrites.Write{Operation: r.Operation, Resource: r.Resource, Subresource: r.Subresource}); !known[w] {
			t.Errorf("%s: %s is not in the list", shapes[i].Name, w)
		}
	}
	if seen == 0 {
		t.Error("there are no shapes")
	}
}

// TestARuleEvaluatesEachKnownWrite demands that the list has nothing that no policy ever evaluates: promote would wait for it forever.
func TestARuleEvaluatesEachKnownWrite(t *testing.T) {
	names := map[string]bool{}
	for _, w := range stockwrites.All() {
		evaluated := false
		for _, rule := range rules.All() {
			for _, target := range rule.Targets {
				for _, operation := range target.Operations {
					evaluated = evaluated || operation == w.Operation && target.Resource == w.Resource &&
						(target.Subresource == w.Subresource || target.Subresource == "*" && w.Subresource != "")
				}
			}
		}
		if !evaluated {
			t.Errorf("no rule evaluates %s", w)
		}
		if names[w.String()] || w.How == "" {
			t.Errorf("%s is there twice, or does not say how to make one", w)
		}
		names[w.String()] = true
	}
}
