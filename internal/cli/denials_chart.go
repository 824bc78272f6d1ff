package cli

import (
	"fmt"
	"strconv"
	"time"

	"noderestriction.plus/internal/recordlog"
)

// maxBars is how many bars a chart has, of which each is still some pixels wide on a phone.
const maxBars = 60

// chart is a bar chart of the number of records over time, in units of a drawing that is stretched to its place: 10 to
// a bar and 100 from bottom to top.
type chart struct {
	Width        int
	Step         string
	Max, Half    string // at the axis
	Bars         []bar
	Start, Until string
	Title        string
}

type bar struct {
	X        int
	Title    string // what the bar shows, in words
	From     string
	Counts   []uint64 // denied, warned, audited, probed
	Segments []segment
}

type segment struct {
	Class     string
	Y, Height string
}

// newChart draws a timeline. It returns nil if that is empty.
func newChart(t *recordlog.Timeline) *chart {
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
	c := &chart{
		Width: 10 * len(intervals), Step: stepText(t.Step()), Max: strconv.FormatUint(top, 10),
		Half: strconv.FormatFloat(float64(top)/2, 'f', -1, 64), Start: axisTime(intervals[0].Start), Until: axisTime(last),
	}
	c.Title = fmt.Sprintf("Records per %s from %s to %s UTC, at most %d", c.Step, c.Start, c.Until, highest)
	for n, i := range intervals {
		c.Bars = append(c.Bars, newBar(n, &i, top))
	}
	return c
}

func newBar(n int, i *recordlog.Interval, top uint64) bar {
	b := bar{X: 10 * n, From: axisTime(i.Start), Counts: []uint64{i.Denied, i.Warned, i.Audited, i.Probed}}
	b.Title = b.From + " UTC:"
	base := 0.0
	for k, action := range actionNames() {
		if b.Counts[k] == 0 {
			continue
		}
		height := 100 * float64(b.Counts[k]) / float64(top)
		base += height
		b.Segments = append(b.Segments, segment{
			Class: action, Y: fmt.Sprintf("%.2f", 100-base), Height: fmt.Sprintf("%.2f", height),
		})
		b.Title += fmt.Sprintf(" %d %s", b.Counts[k], action)
	}
	if len(b.Segments) == 0 {
		b.Title += " none"
	}
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
