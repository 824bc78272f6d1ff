// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/policy"
)

// madeRow is a record of a node that violates a rule with a detail.
func madeRow(outcome policy.Outcome, node, rule, detail string, at time.Time) *recordlog.Row {
	return &recordlog.Row{
		Entry: recordlog.Entry{Record: record.Record{
			Msg: outcome, Node: node, Operation: "UPDATE", Resource: "nodes", Name: node, Boot: "B1", Seq: 1, Time: record.Time(at),
		}},
		Violations: []record.Violation{{Policy: "p", Rule: rule, Detail: detail}},
	}
}

// groupNames are the groups as outcome, node, rule and count.
func groupNames(groups []*mergedGroup) string {
	var all []string
	for _, g := range groups {
		all = append(all, fmt.Sprintf("%s %s %s %d", g.row.Msg, g.row.Node, g.row.Violations[0].Rule, g.count))
	}
	return strings.Join(all, "; ")
}

var eight = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func TestEqualRecordsAreMergedWithTheirFirstAndLastTime(t *testing.T) {
	m := newMerger(limits{groups: 10, variants: 10, ofGroup: 10, counts: 100})
	for _, minute := range []int{5, 1, 9} {
		m.add(madeRow(policy.Denied, "a", "r", "x", eight.Add(time.Duration(minute)*time.Minute)))
	}
	m.add(madeRow(policy.Denied, "a", "r", "y", eight))
	groups, _ := m.choose(10, 1000)
	if got := groupNames(groups); got != "denied a r 4" {
		t.Fatalf("got %s", got)
	}
	variants := chooseVariants(groups, 10, 1000)[0]
	if len(variants) != 2 || variants[0].count != 3 || variants[1].count != 1 {
		t.Fatalf("got %d variants", len(variants))
	}
	v := variants[0]
	if !v.first.Equal(eight.Add(time.Minute)) || !v.last.Equal(eight.Add(9*time.Minute)) || !time.Time(v.row.Time).Equal(v.last) {
		t.Errorf("from %s to %s, the latest at %s", v.first, v.last, time.Time(v.row.Time))
	}
	if g := groups[0]; !g.first.Equal(eight) || !g.last.Equal(v.last) {
		t.Errorf("the group is from %s to %s", g.first, g.last)
	}
}

func TestDeniedRecordsAreNeverDroppedForOthers(t *testing.T) {
	m := newMerger(limits{groups: 5, variants: 5, ofGroup: 5, counts: 1000})
	for n := range 50 {
		m.add(madeRow(policy.Audited, "noisy", fmt.Sprint("r", n), "x", eight))
		m.add(madeRow(policy.Audited, "noisy", "r0", fmt.Sprint("x", n), eight))
	}
	for n := range 4 {
		m.add(madeRow(policy.Denied, "quiet", fmt.Sprint("r", n), "x", eight))
	}
	m.add(madeRow(policy.Denied, "quiet", "r0", "y", eight))
	groups, _ := m.choose(5, 10_000)
	if got := groupNames(groups); got !=
		"denied quiet r0 2; denied quiet r1 1; denied quiet r2 1; denied quiet r3 1; audited noisy r0 51" {
		t.Errorf("got %s", got)
	}
	if variants := chooseVariants(groups, 6, 10_000); len(variants[0]) != 2 || len(variants[4]) != 1 {
		t.Errorf("got %d variants of the denied, %d of the audited", len(variants[0]), len(variants[4]))
	}
	left := m.left[policy.Audited]
	if left == nil || left.groups != 4 || left.records != 4+45 || !left.many || m.left[policy.Denied] != nil {
		t.Errorf("left out: %+v, %+v", left, m.left[policy.Denied])
	}
}

func TestANodeWithVeryManyGroupsDoesNotHideAnother(t *testing.T) {
	m := newMerger(limits{groups: 1000, variants: 10, ofGroup: 5, counts: 1000})
	for n := range 100 {
		for range 5 {
			m.add(madeRow(policy.Denied, "noisy", fmt.Sprint("r", n), "x", eight))
		}
	}
	m.add(madeRow(policy.Denied, "quiet", "r", "x", eight))
	groups, _ := m.choose(3, 10_000)
	if got := groupNames(groups); got != "denied noisy r0 5; denied noisy r1 5; denied quiet r 1" {
		t.Errorf("got %s", got)
	}
	if left := m.left[policy.Denied]; left.groups != 98 || left.records != 98*5 || left.many {
		t.Errorf("left out: %+v", left)
	}
}

func TestTheTextOfGroupsIsBounded(t *testing.T) {
	m := newMerger(limits{groups: 1000, variants: 1000, ofGroup: 1000, counts: 1000})
	for n := range 100 {
		m.add(madeRow(policy.Denied, "a", fmt.Sprint("r", n), strings.Repeat("x", 100), eight))
		m.add(madeRow(policy.Denied, "a", "r0", strings.Repeat("y", n), eight))
	}
	groups, _ := m.choose(1000, 1500)
	if len(groups) < 8 || len(groups) > 14 {
		t.Errorf("%d groups take 1,500 bytes", len(groups))
	}
	if n := len(slices.Concat(chooseVariants(groups, 1000, 300)...)) - len(groups); n < 5 || n > 50 {
		t.Errorf("%d further variants take 300 bytes", n)
	}
}

// A record that is in no group of the page is still in its totals and in its chart.
func TestEachRecordIsCountedOverTime(t *testing.T) {
	v := newPageView(10)
	v.merger = newMerger(limits{groups: 20, variants: 5, ofGroup: 5, counts: 50})
	const n = 500
	for i := range n {
		outcome := []policy.Outcome{policy.Denied, policy.Audited, policy.Warned}[i%3]
		row := madeRow(outcome, fmt.Sprint("node-", i%7), fmt.Sprint("r", i%30), fmt.Sprint(i), eight.Add(time.Duration(i)*time.Second))
		if err := v.add(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.finish(); err != nil {
		t.Fatal(err)
	}
	var inGroups, overTime, listed uint64
	for _, g := range v.page.Groups {
		inGroups += g.Count
		listed += g.Further
		for _, variant := range g.Variants {
			listed += variant.Count
		}
		for _, i := range g.Intervals {
			overTime += i.Count
		}
	}
	if listed != inGroups || overTime != inGroups {
		t.Errorf("%d records are in groups, %d in variants, %d over time", inGroups, listed, overTime)
	}
	for _, l := range v.page.Left {
		for _, i := range l.Intervals {
			overTime += i.Count
		}
	}
	if overTime != n || len(v.page.Left) == 0 {
		t.Errorf("%d of %d records are counted over time, %d outcomes are left out", overTime, n, len(v.page.Left))
	}
}
