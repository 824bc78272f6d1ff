// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"cmp"
	"slices"
	"time"
)

// Timeline counts the records of several series in time intervals. The intervals grow with the number of counts that it
// would otherwise have to keep.
type Timeline struct {
	limit  int
	step   int // of steps
	counts map[cell]uint64
}

// cell is an interval of one series.
type cell struct {
	series   int
	interval int64 // since the beginning of 1970
}

// Count is the number of records of a series in an interval.
type Count struct {
	Series   int
	Interval int64 // its start in units of the Timeline's Step since the beginning of 1970
	Records  uint64
}

// steps are the lengths of intervals. Each is a multiple of the one before.
func steps() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
		2 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 7 * day, 28 * day, 364 * day, 36400 * day,
	}
}

// NewTimeline returns an empty Timeline that keeps at most limit counts as long as longer intervals help.
func NewTimeline(limit int) *Timeline { return &Timeline{limit: limit, counts: map[cell]uint64{}} }

// Add counts a record of a series.
func (t *Timeline) Add(series int, at time.Time) {
	t.counts[cell{series, floorDiv(at.Unix(), t.seconds())}]++
	t.fit()
}

// Merge counts the records of each series for the series that it is mapped to.
func (t *Timeline) Merge(into func(series int) int) {
	merged := make(map[cell]uint64, len(t.counts))
	for c, n := range t.counts {
		merged[cell{into(c.series), c.interval}] += n
	}
	t.counts = merged
}

// Limit lowers the number of counts to keep.
func (t *Timeline) Limit(limit int) {
	t.limit = limit
	t.fit()
}

func (t *Timeline) fit() {
	for len(t.counts) > t.limit && t.step < len(steps())-1 {
		t.coarsen()
	}
}

// coarsen merges intervals into the next longer ones.
func (t *Timeline) coarsen() {
	before := t.seconds()
	t.step++
	factor := t.seconds() / before
	merged := make(map[cell]uint64, len(t.counts)/2)
	for c, n := range t.counts {
		merged[cell{c.series, floorDiv(c.interval, factor)}] += n
	}
	t.counts = merged
}

func (t *Timeline) seconds() int64 { return int64(t.Step() / time.Second) }

func floorDiv(a, b int64) int64 {
	if q := a / b; q*b <= a {
		return q
	}
	return a/b - 1
}

// Step returns the length of an interval, a whole number of seconds.
func (t *Timeline) Step() time.Duration { return steps()[t.step] }

// Counts returns the counts, sorted by series and time, without those that are 0.
func (t *Timeline) Counts() []Count {
	all := make([]Count, 0, len(t.counts))
	for c, n := range t.counts {
		all = append(all, Count{Series: c.series, Interval: c.interval, Records: n})
	}
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(a.Interval, b.Interval))
	})
	return all
}
