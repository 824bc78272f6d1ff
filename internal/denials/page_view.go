// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/denials/page"
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

// pageView is a view that makes an HTML page.
type pageView struct {
	newest   *recordlog.Newest
	timeline *recordlog.Timeline
	actions  *recordlog.Groups
	top      []topList
	from, to time.Time
	page     page.Page
}

// topList counts by one dimension.
type topList struct {
	id, title, heading page.Text
	groups             *recordlog.Groups
}

func newPageView(limit int) *pageView {
	return &pageView{
		newest: recordlog.NewNewest(limit), timeline: recordlog.NewTimeline(),
		actions: recordlog.NewGroups(recordlog.ByAction),
		top: []topList{
			{"nodes", "Nodes", "Node", recordlog.NewGroups(recordlog.ByNode)},
			{"rules", "Rules", "Rule", recordlog.NewGroups(recordlog.ByRule)},
			{"policies", "Policies", "Policy", recordlog.NewGroups(recordlog.ByPolicy)},
		},
	}
}

func (v *pageView) add(row *recordlog.Row) error {
	v.newest.Add(&row.Entry, row.Violations)
	v.timeline.Add(&row.Entry)
	v.actions.Add(&row.Entry, row.Violations)
	for _, top := range v.top {
		top.groups.Add(&row.Entry, row.Violations)
	}
	at := time.Time(row.Time)
	if v.from.IsZero() || at.Before(v.from) {
		v.from = at
	}
	if at.After(v.to) {
		v.to = at
	}
	return nil
}

// finish makes what is shown of what was counted.
func (v *pageView) finish() error {
	d := &v.page
	if v.newest.Added() > 0 {
		d.From, d.To = page.Text(pageTime(v.from)), page.Text(pageTime(v.to))
	}
	d.Totals = v.totals()
	d.Chart = newChart(v.timeline, len(d.Totals))
	for _, top := range v.top {
		d.Top = append(d.Top, top.page())
	}
	for _, row := range slices.Backward(v.newest.Sorted()) {
		d.Rows = append(d.Rows, pageRow(row))
	}
	if left := v.newest.Added() - len(d.Rows); left > 0 {
		d.Left = textf("%s left out here, but counted above.", are(uint64(left), "older record"))
	}
	return nil
}

func (v *pageView) totals() []page.Total {
	counts := map[string]uint64{}
	for _, g := range v.actions.Sorted() {
		counts[g.Values[0]] = g.Count
	}
	var all []page.Total
	for _, action := range actionNames() {
		if n := counts[action]; n > 0 || action != string(record.Probed) {
			all = append(all, page.Total{Class: page.Text(action), Label: page.Text(action), Count: n})
		}
	}
	return all
}

func (t *topList) page() page.Top {
	sorted := t.groups.Sorted()
	shown := page.Top{ID: t.id, Title: t.title, Heading: t.heading, Rest: max(0, len(sorted)-maxTop)}
	for _, g := range sorted[:min(len(sorted), maxTop)] {
		shown.Rows = append(shown.Rows, page.TopRow{
			Name: page.Text(orDash(g.Values[0])), Count: g.Count,
			Percent: textf("%.1f", 100*float64(g.Count)/float64(sorted[0].Count)),
		})
	}
	return shown
}

func pageTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// describe adds what is known once all is read: whether the log is complete, and what was asked for.
func (v *pageView) describe(found recordlog.Completeness, filters []string, unsure int) {
	d := &v.page
	d.Filters = texts(filters)
	if unsure > 0 {
		d.Unsure = textf("%s left out: the log does not say whether the filters match, because the line is a short one.",
			are(uint64(unsure), "more record"))
	}
	d.Problems = texts(problems(found))
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
		d.Summary = textf("The log is complete: %s of %s, none missing.",
			count(found.Records, "record"), processes(len(found.Boots)))
	}
}

// write writes the page to a file, or to standard output.
func (v *pageView) write(file string, stdout io.Writer) error {
	if file == command.StandardInput {
		return v.page.Write(stdout)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(v.page.Write(f), f.Close())
}

// pageRow is a record as the page shows it.
func pageRow(row *recordlog.Row) page.Row {
	shown := page.Row{
		Time: page.Text(pageTime(time.Time(row.Time))), Class: page.Text(row.Msg), Action: page.Text(outcome(row)),
		Node: page.Text(row.Node), Write: page.Text(write(row)), Object: page.Text(object(row)),
		Boot: page.Text(row.Boot), Seq: row.Seq, UID: page.Text(row.UID),
	}
	for _, v := range row.Violations {
		shown.Violations = append(shown.Violations, page.Violation{
			Rule: page.Text(v.Rule), Policy: page.Text(orDash(v.Policy)), Detail: page.Text(detail(row, v)),
		})
	}
	return shown
}

func textf(format string, args ...any) page.Text { return page.Text(fmt.Sprintf(format, args...)) }

func texts(all []string) []page.Text {
	var converted []page.Text
	for _, s := range all {
		converted = append(converted, page.Text(s))
	}
	return converted
}
