package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/net/html"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
)

const (
	// maxPageRows bounds the size of a page: a row takes some 700 bytes, and five times that at worst.
	maxPageRows = 20_000
	// maxTop is how many nodes, rules and policies a page names.
	maxTop = 10
	// maxProblems is how many problems with the log a page names.
	maxProblems = 20
)

// page is a view that makes a HTML page. The page needs no network and no other file, and whatever the records hold,
// it is shown as text: the page is a tree of elements and texts that html.Render escapes, none of it goes into the script,
// and a Content-Security-Policy allows only the script and the style that belong to the page.
type page struct {
	newest   *recordlog.Newest
	timeline *recordlog.Timeline
	actions  *recordlog.Groups
	top      []topList
	from, to time.Time
	data     pageData
}

// topList counts by one dimension.
type topList struct {
	id, title, heading string
	groups             *recordlog.Groups
}

// pageData is what the page shows.
type pageData struct {
	From, To string
	Filters  []string
	Unsure   string // about records of which it is not known whether the filters match

	Verdict  string // a class: good, bad or none
	Summary  string
	Problems []string
	Rest     int // problems beyond those

	Totals []pageTotal
	Chart  *chart
	Top    []pageTop
	Rows   []*recordlog.Row // the newest first
	Left   string           // about rows that are left out
}

type pageTotal struct {
	Class, Label string
	Count        uint64
}

type pageTop struct {
	ID, Title, Heading string
	Rows               []pageTopRow
	Rest               int // groups beyond those
}

type pageTopRow struct {
	Name    string
	Count   uint64
	Percent string // of the largest, for the bar
}

func newPage(limit int) *page {
	return &page{
		newest: recordlog.NewNewest(limit), timeline: recordlog.NewTimeline(),
		actions: recordlog.NewGroups(recordlog.ByAction),
		top: []topList{
			{"nodes", "Nodes", "Node", recordlog.NewGroups(recordlog.ByNode)},
			{"rules", "Rules", "Rule", recordlog.NewGroups(recordlog.ByRule)},
			{"policies", "Policies", "Policy", recordlog.NewGroups(recordlog.ByPolicy)},
		},
	}
}

func (p *page) add(row *recordlog.Row) error {
	p.newest.Add(&row.Entry, row.Violations)
	p.timeline.Add(&row.Entry)
	p.actions.Add(&row.Entry, row.Violations)
	for _, top := range p.top {
		top.groups.Add(&row.Entry, row.Violations)
	}
	at := time.Time(row.Time)
	if p.from.IsZero() || at.Before(p.from) {
		p.from = at
	}
	if at.After(p.to) {
		p.to = at
	}
	return nil
}

// finish makes what is shown of what was counted.
func (p *page) finish() error {
	d := &p.data
	if p.newest.Added() > 0 {
		d.From, d.To = pageTime(p.from), pageTime(p.to)
	}
	d.Totals = p.totals()
	d.Chart = newChart(p.timeline)
	for _, top := range p.top {
		d.Top = append(d.Top, top.page())
	}
	d.Rows = p.newest.Sorted()
	slices.Reverse(d.Rows)
	if left := p.newest.Added() - len(d.Rows); left > 0 {
		d.Left = are(uint64(left), "older record") + " left out here, but counted above."
	}
	return nil
}

func (p *page) totals() []pageTotal {
	counts := map[string]uint64{}
	for _, g := range p.actions.Sorted() {
		counts[g.Values[0]] = g.Count
	}
	var all []pageTotal
	for _, action := range actionNames() {
		if n := counts[action]; n > 0 || action != string(record.Probed) {
			all = append(all, pageTotal{Class: action, Label: action, Count: n})
		}
	}
	return all
}

func (t *topList) page() pageTop {
	sorted := t.groups.Sorted()
	shown := pageTop{ID: t.id, Title: t.title, Heading: t.heading, Rest: max(0, len(sorted)-maxTop)}
	for _, g := range sorted[:min(len(sorted), maxTop)] {
		shown.Rows = append(shown.Rows, pageTopRow{
			Name: orDash(g.Values[0]), Count: g.Count,
			Percent: fmt.Sprintf("%.1f", 100*float64(g.Count)/float64(sorted[0].Count)),
		})
	}
	return shown
}

func pageTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// describe adds what is known once all is read: whether the log is complete, and what was asked for.
func (p *page) describe(found recordlog.Completeness, filters []string, unsure int) {
	d := &p.data
	d.Filters = filters
	if unsure > 0 {
		d.Unsure = are(uint64(unsure), "more record") +
			" left out: the log does not say whether the filters match, because the line is a short one."
	}
	d.Problems = problems(found)
	if d.Rest = len(d.Problems) - maxProblems; d.Rest > 0 {
		d.Problems = d.Problems[:maxProblems]
	}
	switch {
	case !found.Complete:
		d.Verdict, d.Summary = "bad", "The log is not complete."
	case len(found.Boots) == 0:
		d.Verdict, d.Summary = "none", "There is no record, which proves nothing."
	default:
		d.Verdict = "good"
		d.Summary = fmt.Sprintf("The log is complete: %s of %s, none missing.",
			count(found.Records, "record"), processes(len(found.Boots)))
	}
}

// write writes the page to a file, or to standard output.
func (p *page) write(file string, stdout io.Writer) error {
	document := p.data.document()
	if file == standardInput {
		return html.Render(stdout, document)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(html.Render(f, document), f.Close())
}
