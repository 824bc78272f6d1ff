// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/internal/recordlog"
)

// counted are the groups of some records.
func counted(t *testing.T, log []string, by ...recordlog.Dimension) string {
	t.Helper()
	groups := recordlog.NewGroups(by...)
	_, entries := readLog(t, log...)
	for i := range entries {
		groups.Add(&entries[i], entries[i].Violations)
	}
	var all []string
	for _, g := range groups.Sorted() {
		all = append(all, fmt.Sprintf("%d %s", g.Count, strings.Join(g.Values, ",")))
	}
	return strings.Join(all, "; ")
}

func TestGroups(t *testing.T) {
	twoRules := strings.Replace(full(9), `"violations":[`, `"violations":[{"policy":"strict","rule":"node-labels"},`+
		`{"policy":"strict","rule":"node-finalizers","field":"x"},`, 1)
	other := strings.Replace(full(4), "worker-1", "worker-2", 1)
	for name, test := range map[string]struct {
		by   []recordlog.Dimension
		log  []string
		want string
	}{
		"the largest first": {
			[]recordlog.Dimension{recordlog.ByNode}, []string{other, full(1), full(2)}, "2 worker-1; 1 worker-2",
		},
		"equal ones by name": {
			[]recordlog.Dimension{recordlog.ByNode}, []string{other, full(1)}, "1 worker-1; 1 worker-2",
		},
		"by several": {
			[]recordlog.Dimension{recordlog.ByNode, recordlog.ByRule}, []string{full(1), compact(2)}, "2 worker-1,node-finalizers",
		},
		"each rule of a record": {
			[]recordlog.Dimension{recordlog.ByRule}, []string{twoRules}, "1 node-finalizers; 1 node-labels",
		},
		"each policy once": {
			[]recordlog.Dimension{recordlog.ByPolicy}, []string{twoRules}, "1 recommended; 1 strict",
		},
		"rules of their policies": {
			[]recordlog.Dimension{recordlog.ByPolicy, recordlog.ByRule},
			[]string{twoRules},
			"1 recommended,node-finalizers; 1 strict,node-finalizers; 1 strict,node-labels",
		},
		"a record once": {[]recordlog.Dimension{recordlog.ByNode}, []string{twoRules}, "1 worker-1"},
		"what is not known": {
			[]recordlog.Dimension{recordlog.ByName, recordlog.ByField}, []string{full(1), compact(2)}, "1 ?,?; 1 worker-1,metadata.finalizers",
		},
		"all that is left of it": {
			[]recordlog.Dimension{recordlog.ByRule, recordlog.ByResource}, []string{compact(2)}, "1 ?,?",
		},
		"times in their order": {
			[]recordlog.Dimension{recordlog.ByMinute},
			[]string{strings.Replace(full(1), "T08:00", "T09:10", 1), full(2), strings.Replace(full(3), "T08:00", "T09:10", 1)},
			"1 2026-11-24T08:00Z; 2 2026-11-24T09:10Z",
		},
		"hours": {
			[]recordlog.Dimension{recordlog.ByHour}, []string{strings.Replace(full(1), "T08:00", "T08:10", 1), full(2)}, "2 2026-11-24T08:00Z",
		},
		"everything else of a line": {
			[]recordlog.Dimension{
				recordlog.ByResource, recordlog.ByOperation, recordlog.ByUser, recordlog.ByNamespace, recordlog.ByAction, recordlog.ByBoot,
			},
			[]string{full(1)},
			"1 nodes/status,UPDATE,system:node:worker-1,,denied,B1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := counted(t, test.log, test.by...); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestEveryDimensionHasAValue(t *testing.T) {
	for _, d := range recordlog.Dimensions() {
		if got := counted(t, []string{strings.Replace(full(1), `"namespace":""`, `"namespace":"n"`, 1)}, d); len(got) < 3 {
			t.Errorf("%s: got %q", d, got)
		}
	}
}

func TestNewestKeepsTheNewest(t *testing.T) {
	newest := recordlog.NewNewest(3)
	_, entries := readLog(t, numbered(5, 1, 4, 2, 3)...)
	for i := range entries {
		newest.Add(&entries[i], entries[i].Violations)
	}
	var got []uint64
	for _, row := range newest.Sorted() {
		got = append(got, row.Seq)
	}
	if fmt.Sprint(got) != "[3 4 5]" || newest.Added() != 5 {
		t.Errorf("got %v of %d", got, newest.Added())
	}
}

func TestRecordsOfOneTimeStayInTheirOrder(t *testing.T) {
	newest := recordlog.NewNewest(0)
	_, entries := readLog(t, numbered(60, 120, 180)...)
	for i := range entries {
		newest.Add(&entries[i], nil)
	}
	rows := newest.Sorted()
	if rows[0].Seq != 60 || rows[1].Seq != 120 || rows[2].Seq != 180 {
		t.Errorf("got %d, %d, %d", rows[0].Seq, rows[1].Seq, rows[2].Seq)
	}
}

// at is a record of an outcome at a time.
func at(t *testing.T, outcome string, when time.Time) *recordlog.Entry {
	t.Helper()
	text := strings.Replace(full(1), "2026-11-24T08:00:01.000Z", when.Format("2006-01-02T15:04:05.000Z"), 1)
	_, entries := readLog(t, strings.Replace(text, "denied", outcome, 1))
	return &entries[0]
}

func TestATimelineHasAnIntervalForEachTime(t *testing.T) {
	begin := time.Date(2026, 11, 24, 8, 0, 7, 0, time.UTC)
	timeline := recordlog.NewTimeline()
	for _, outcome := range []string{"denied", "denied", "warned", "audited", "probed"} {
		timeline.Add(at(t, outcome, begin))
	}
	timeline.Add(at(t, "denied", begin.Add(3*time.Second)))
	all := timeline.Intervals(10)
	if len(all) != 4 || timeline.Step() != time.Second || !all[0].Start.Equal(begin) || all[1].Total() != 0 || all[3].Denied != 1 {
		t.Fatalf("got %v", all)
	}
	if first := all[0]; first.Denied != 2 || first.Warned != 1 || first.Audited != 1 || first.Probed != 1 || first.Total() != 5 {
		t.Errorf("got %+v", first)
	}
}

func TestATimelineGrowsToWhatItCovers(t *testing.T) {
	begin := time.Date(2026, 11, 24, 8, 0, 7, 0, time.UTC)
	for _, test := range []struct {
		span, step time.Duration
	}{
		{0, time.Second},
		{59 * time.Second, time.Second},
		{2 * time.Minute, 5 * time.Second},
		{3 * time.Hour, 5 * time.Minute},
		{40 * 24 * time.Hour, 24 * time.Hour},
		{2000 * 24 * time.Hour, 364 * 24 * time.Hour},
	} {
		timeline := recordlog.NewTimeline()
		var n uint64
		for when := begin; !when.After(begin.Add(test.span)); when = when.Add(max(test.span/10, time.Second)) {
			timeline.Add(at(t, "denied", when))
			n++
		}
		all := timeline.Intervals(60)
		var total uint64
		for _, i := range all {
			total += i.Total()
		}
		if timeline.Step() != test.step || len(all) > 61 || total != n {
			t.Errorf("%s: %d intervals of %s, with %d of %d", test.span, len(all), timeline.Step(), total, n)
		}
	}
}

func TestATimelineTakesBoundedMemoryAndLosesNothing(t *testing.T) {
	timeline := recordlog.NewTimeline()
	_, entries := readLog(t, full(1))
	entry := entries[0]
	const n = 20_000
	for i := range n {
		entry.Time = recordTime(time.Date(1960+i%130, 1, 1, i%24, i%60, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute))
		timeline.Add(&entry)
	}
	var total uint64
	for _, i := range timeline.Intervals(60) {
		total += i.Total()
	}
	if total != n {
		t.Errorf("got %d, want %d", total, n)
	}
}
