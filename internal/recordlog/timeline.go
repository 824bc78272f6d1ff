// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"time"

	"noderestriction.plus/policy"
)

// Timeline counts records in intervals of time, which get longer with the time that it covers.
type Timeline struct {
	step      int // of steps
	intervals map[int64]*Interval
}

// Interval is how many records of each outcome there were from Start on, to the next one's.
type Interval struct {
	Start                           time.Time
	Denied, Warned, Audited, Probed uint64
}

// Total is the number of all records in the interval.
func (i *Interval) Total() uint64 { return i.Denied + i.Warned + i.Audited + i.Probed }

// maxKept is how many intervals with records are kept while records are counted.
const maxKept = 4096

// steps are the lengths of intervals. Each is a multiple of the one before.
func steps() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
		6 * time.Hour, day, 7 * day, 28 * day, 364 * day, 36400 * day,
	}
}

// NewTimeline returns an empty Timeline.
func NewTimeline() *Timeline { return &Timeline{intervals: map[int64]*Interval{}} }

// Add counts a record.
func (t *Timeline) Add(e *Entry) {
	i := t.at(t.index(time.Time(e.Time)))
	switch e.Msg {
	case policy.Denied:
		i.Denied++
	case policy.Warned:
		i.Warned++
	case policy.Audited:
		i.Audited++
	default:
		i.Probed++
	}
	for len(t.intervals) > maxKept && t.step < len(steps())-1 {
		t.coarsen()
	}
}

// index is the number of the interval with a time, counted from the beginning of 1970.
func (t *Timeline) index(at time.Time) int64 { return floorDiv(at.Unix(), int64(t.Step()/time.Second)) }

func floorDiv(a, b int64) int64 {
	if q := a / b; q*b <= a {
		return q
	}
	return a/b - 1
}

func (t *Timeline) at(index int64) *Interval {
	i, ok := t.intervals[index]
	if !ok {
		i = &Interval{Start: time.Unix(index*int64(t.Step()/time.Second), 0).UTC()}
		t.intervals[index] = i
	}
	return i
}

// coarsen merges intervals into the next longer ones.
func (t *Timeline) coarsen() {
	old := t.intervals
	t.step++
	t.intervals = make(map[int64]*Interval, len(old))
	for _, i := range old {
		into := t.at(t.index(i.Start))
		into.Denied += i.Denied
		into.Warned += i.Warned
		into.Audited += i.Audited
		into.Probed += i.Probed
	}
}

// Step is how long an interval is.
func (t *Timeline) Step() time.Duration { return steps()[t.step] }

// Intervals returns the intervals from the first record to the last, also those without records between, and makes them
// longer until there are at most limit.
func (t *Timeline) Intervals(limit int) []Interval {
	if len(t.intervals) == 0 {
		return nil
	}
	for {
		first, last := t.span()
		if last-first < int64(limit) || t.step == len(steps())-1 {
			all := make([]Interval, 0, last-first+1)
			for n := first; n <= last; n++ {
				if i, ok := t.intervals[n]; ok {
					all = append(all, *i)
				} else {
					all = append(all, Interval{Start: time.Unix(n*int64(t.Step()/time.Second), 0).UTC()})
				}
			}
			return all
		}
		t.coarsen()
	}
}

// span is the numbers of the first and the last interval.
func (t *Timeline) span() (first, last int64) {
	begun := false
	for n := range t.intervals {
		if !begun || n < first {
			first = n
		}
		if !begun || n > last {
			last = n
		}
		begun = true
	}
	return first, last
}
