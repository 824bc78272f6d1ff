// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"fmt"
	"strconv"
	"time"

	"noderestriction.plus/internal/denials/page"
	"noderestriction.plus/internal/recordlog"
)

// maxBars is how many bars a chart has, of which each is still some pixels wide on a phone.
const maxBars = 60

// newChart draws a timeline, with the numbers of the first so many actions. It returns nil if the timeline is empty.
func newChart(t *recordlog.Timeline, actions int) *page.Chart {
	intervals := t.Intervals(maxBars)
	if len(intervals) == 0 {
		return nil
	}
	var highest uint64
	for _, i := range intervals {
		highest = max(highest, i.Total())
	}
	top := roundUp(highest)
	last := intervals[len(intervals)-1].Start.Add(t.Step())
	c := &page.Chart{
		Width: 10 * len(intervals), Step: page.Text(stepText(t.Step())), Max: textf("%d", top),
		Half:  page.Text(strconv.FormatFloat(float64(top)/2, 'f', -1, 64)),
		Start: page.Text(axisTime(intervals[0].Start)), Until: page.Text(axisTime(last)),
	}
	c.Title = textf("Records per %s from %s to %s UTC, at most %d", c.Step, c.Start, c.Until, highest)
	for n, i := range intervals {
		c.Bars = append(c.Bars, newBar(n, actions, &i, top))
	}
	return c
}

func newBar(n, actions int, i *recordlog.Interval, top uint64) page.Bar {
	counts := []uint64{i.Denied, i.Warned, i.Audited, i.Probed}
	b := page.Bar{X: 10 * n, From: page.Text(axisTime(i.Start)), Counts: counts[:actions]}
	title := axisTime(i.Start) + " UTC:"
	base := 0.0
	for k, action := range actionNames() {
		if counts[k] == 0 {
			continue
		}
		height := 100 * float64(counts[k]) / float64(top)
		base += height
		b.Segments = append(b.Segments, page.Segment{
			Class: page.Text(action), Y: textf("%.2f", 100-base), Height: textf("%.2f", height),
		})
		title += fmt.Sprintf(" %d %s", counts[k], action)
	}
	if len(b.Segments) == 0 {
		title += " none"
	}
	b.Title = page.Text(title)
	return b
}

// roundUp rounds up to 2, 4, 6, 8 or 10 times a power of ten, of which the half is a round number, too.
func roundUp(n uint64) uint64 {
	unit := uint64(1)
	for unit*10 < n {
		unit *= 10
	}
	for _, times := range []uint64{2, 4, 6, 8} {
		if n <= times*unit {
			return times * unit
		}
	}
	return 10 * unit
}

func axisTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// stepText is how long a bar is.
func stepText(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		length time.Duration
		noun   string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d == unit.length {
			return unit.noun
		}
		if d%unit.length == 0 {
			return count(int64(d/unit.length), unit.noun)
		}
	}
	return "second"
}
