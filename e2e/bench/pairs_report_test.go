// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestDifferenceOfMedians(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 1))
	sample := func(n int, around float64) (values []float64) {
		for range n {
			values = append(values, around+0.1*draw.NormFloat64())
		}
		return values
	}
	middle, low, high := difference(sample(400, 3), sample(400, 2))
	if low > 1 || high < 1 || middle < low || middle > high {
		t.Errorf("got %v (%v to %v), want about 1", middle, low, high)
	}
	_, fewLow, fewHigh := difference(sample(10, 3), sample(10, 2))
	if few, many := fewHigh-fewLow, high-low; many > 0.06 || few < 2*many {
		t.Errorf("the interval is %v wide with 10 values, and %v with 400", few, many)
	}
	if middle, low, high := difference([]float64{5, 1, 3}, []float64{1, 1}); middle != 2 || low != 0 || high != 4 {
		t.Errorf("got %v (%v to %v), want 2 (0 to 4)", middle, low, high)
	}
}

// TestReportOfPairs checks that the ratios are those of the variant to none, whatever differs between the two API servers, and include
// garbage.
func TestReportOfPairs(t *testing.T) {
	kind := pairKinds()[0].name
	phases := func(server time.Duration, garbage float64) []phase {
		return []phase{{
			pairs: []pair{{plain: 10 * time.Millisecond, server: server, webhook: 6 * time.Millisecond}}, calls: 1,
			plainGarbage: 1 << 20, serverGarb: garbage,
		}}
	}
	r := &pairResults{
		settings: settings{rounds: 1, pairs: 1, writes: 100, nodes: 32}, price: []float64{0.001 / (1 << 20)}, // a millisecond for a MiB
		variants: []*variant{{name: "none"}, {name: "wired"}},
		phases: map[cell][]phase{
			{"none", kind, 1}:  phases(20*time.Millisecond, 2<<20),
			{"wired", kind, 1}: phases(30*time.Millisecond, 14<<20),
		},
	}
	report := r.report()
	for _, line := range []string{
		"| nodes/status | none | 1.00 | 22.00 ms | – | – | – |",
		"| nodes/status | wired | 1.00 | 44.00 ms | **2.000** (2.000–2.000) | **1.500** (1.500–1.500) | **1.786** (1.786–1.786) |",
	} {
		if !strings.Contains(report, line+"\n") {
			t.Errorf("there is no line %s\n%s", line, report)
		}
	}
}
