// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog_test

import (
	"fmt"
	"slices"
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
		if got := counted(t, []string{strings.Replace(full(1), `"namespace":""`, `"namespace":"n","account":"a/b"`, 1)}, d); len(got) < 3 {
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

func TestATimelineCountsEachSeriesByTime(t *testing.T) {
	begin := time.Date(2026, 11, 24, 8, 0, 7, 0, time.UTC)
	timeline := recordlog.NewTimeline(100)
	for _, series := range []int{0, 1, 0} {
		timeline.Add(series, begin)
	}
	timeline.Add(0, begin.Add(3*time.Second+999*time.Millisecond))
	timeline.Add(2, time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC))
	want := []recordlog.Count{
		{Series: 0, Interval: begin.Unix(), Records: 2},
		{Series: 0, Interval: begin.Unix() + 3, Records: 1},
		{Series: 1, Interval: begin.Unix(), Records: 1},
		{Series: 2, Interval: -1, Records: 1},
	}
	if got := timeline.Counts(); !slices.Equal(got, want) || timeline.Step() != time.Second {
		t.Errorf("got %v in steps of %s", got, timeline.Step())
	}
	timeline.Merge(func(int) int { return 7 })
	want = []recordlog.Count{
		{Series: 7, Interval: -1, Records: 1},
		{Series: 7, Interval: begin.Unix(), Records: 3},
		{Series: 7, Interval: begin.Unix() + 3, Records: 1},
	}
	if got := timeline.Counts(); !slices.Equal(got, want) {
		t.Errorf("merged: got %v", got)
	}
}

func TestTheIntervalsOfATimelineGrowWithWhatItCovers(t *testing.T) {
	begin := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		every, step time.Duration
	}{
		{0, time.Second},
		{time.Second, 5 * time.Second},
		{3 * time.Minute, 15 * time.Minute},
		{24 * time.Hour, 7 * 24 * time.Hour},
	} {
		timeline := recordlog.NewTimeline(1000)
		for n := range 240 {
			timeline.Add(n%2, begin.Add(time.Duration(n/2*2)*test.every))
		}
		timeline.Limit(100)
		counts := timeline.Counts()
		if timeline.Step() != test.step || len(counts) > 100 || sum(counts) != 240 {
			t.Errorf("%s: %d counts in steps of %s, with %d records", test.every, len(counts), timeline.Step(), sum(counts))
		}
	}
}

func sum(counts []recordlog.Count) uint64 {
	var total uint64
	for _, c := range counts {
		total += c.Records
	}
	return total
}

func TestATimelineTakesBoundedMemoryAndLosesNothing(t *testing.T) {
	timeline := recordlog.NewTimeline(1000)
	const n = 20_000
	for i := range n {
		at := time.Date(1960+i%130, 1, 1, i%24, i%60, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute)
		timeline.Add(i%10, at)
		if kept := len(timeline.Counts()); i%100 == 0 && kept > 1000 {
			t.Fatalf("%d counts are kept", kept)
		}
	}
	if got := sum(timeline.Counts()); got != n {
		t.Errorf("got %d, want %d", got, n)
	}
}
