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
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

const (
	// maxPageRows bounds the single records of a page, about 300 bytes each.
	maxPageRows = 20_000
	// maxPageGroups is how many groups of equal records a page lists, and maxPageVariants how many variants of them.
	maxPageGroups   = 5_000
	maxPageVariants = 20_000
	// maxPageText bounds the text of the groups, and as much again that of the variants, in bytes.
	maxPageText = 4 << 20
	// maxPageCounts is how many counts over time a page has. With more, the intervals are longer.
	maxPageCounts = 200_000
	// maxProblems is how many problems with the log a page names, and maxFiles how many files.
	maxProblems = 20
	maxFiles    = 10
	// maxTitle is the longest title, in bytes.
	maxTitle = 200
)

// pageView is a view that makes an HTML page.
type pageView struct {
	merger *merger
	// newest are the newest denied records, and others the newest others.
	newest, others *recordlog.Newest
	limit          int
	actions        *recordlog.Groups
	from, to       time.Time
	page           page.Page
}

func newPageView(limit int) *pageView {
	return &pageView{
		merger: newMerger(limits{groups: 50_000, variants: 50_000, ofGroup: 1000, counts: maxPageCounts}),
		newest: recordlog.NewNewest(limit), others: recordlog.NewNewest(limit), limit: limit,
		actions: recordlog.NewGroups(recordlog.ByAction),
	}
}

func (v *pageView) add(row *recordlog.Row) error {
	v.merger.add(row)
	if row.Msg == policy.Denied {
		v.newest.Add(&row.Entry, row.Violations)
	} else {
		v.others.Add(&row.Entry, row.Violations)
	}
	v.actions.Add(&row.Entry, row.Violations)
	at := time.Time(row.Time)
	if v.from.IsZero() {
		v.from = at
	}
	v.from, v.to = earlier(v.from, at), later(v.to, at)
	return nil
}

// finish makes what is shown of what was counted.
func (v *pageView) finish() error {
	d := &v.page
	if v.actions.Records() > 0 {
		d.Period = textf("%s to %s UTC", pageTime(v.from), pageTime(v.to))
	}
	d.Totals = v.totals()
	groups, size := v.merger.choose(maxPageGroups, maxPageText)
	numbers := map[string]int{}
	for i, variants := range chooseVariants(groups, maxPageVariants, maxPageText+maxPageText-size) {
		d.Groups = append(d.Groups, pageGroup(groups[i], variants))
		numbers[string(appendGroup(nil, groups[i].row))] = i
	}
	v.leave()
	v.countOverTime(groups)
	d.Rules = ruleTitles(d.Groups)
	v.addRows(numbers)
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

// leave says which groups are not listed.
func (v *pageView) leave() {
	for _, action := range actionNames() {
		left := v.merger.left[policy.Outcome(action)]
		if left == nil {
			continue
		}
		groups := textf("%s more groups", page.Number(left.groups))
		if left.many {
			groups = "Too many groups to count"
		}
		v.page.Left = append(v.page.Left, page.Left{
			Class: page.Text(action),
			Sentence: textf("%s, with %s, are not listed, but counted in the chart and the totals. "+
				"Narrow the page down, such as with --node, or count with --by.",
				groups, numbered(left.records, action+" record")),
		})
	}
}

// countOverTime distributes the counts to the groups, and to what is left.
func (v *pageView) countOverTime(groups []*mergedGroup) {
	d := &v.page
	into := map[int]*[]page.Interval{} // by series
	series := map[policy.Outcome]int{}
	listed := map[*mergedGroup]bool{}
	for i, g := range groups {
		into[g.series], listed[g] = &d.Groups[i].Intervals, true
	}
	for i := range d.Left {
		outcome := policy.Outcome(d.Left[i].Class)
		series[outcome] = v.merger.left[outcome].series
		into[series[outcome]] = &d.Left[i].Intervals
	}
	moved := map[int]int{}
	for _, g := range v.merger.order {
		if !listed[g] {
			moved[g.series] = series[g.row.Msg]
		}
	}
	v.merger.timeline.Merge(func(n int) int {
		if to, ok := moved[n]; ok {
			return to
		}
		return n
	})
	v.merger.timeline.Limit(maxPageCounts)
	for _, c := range v.merger.timeline.Counts() {
		*into[c.Series] = append(*into[c.Series], page.Interval{N: c.Interval, Count: c.Records})
	}
	d.Step = v.merger.timeline.Step()
}

// addRows adds single records: the newest, and denied ones before all others.
func (v *pageView) addRows(groups map[string]int) {
	newest := v.newest.Sorted()
	others := v.others.Sorted()
	others = others[max(0, len(others)+len(newest)-v.limit):]
	rows := slices.Concat(newest, others)
	slices.SortStableFunc(rows, func(a, b *recordlog.Row) int { return time.Time(b.Time).Compare(time.Time(a.Time)) })
	for _, row := range rows {
		n, listed := groups[string(appendGroup(nil, row))]
		if !listed {
			continue
		}
		shown := page.Row{Group: n, Time: time.Time(row.Time), Object: pageObject(row), ID: pageID(row)}
		for _, violation := range row.Violations {
			shown.Details = append(shown.Details, page.Text(detail(row, violation)))
		}
		v.page.Rows = append(v.page.Rows, shown)
	}
	if left := v.newest.Added() + v.others.Added() - len(v.page.Rows); left > 0 {
		v.page.Older = textf("The page has %s single records, denied ones first: %s more are only in the groups (--limit).",
			page.Number(uint64(len(v.page.Rows))), page.Number(uint64(left)))
	}
}

func pageTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// describe adds what is known once all is read: whether the log is complete, and what was asked for.
func (v *pageView) describe(r *reader, found recordlog.Completeness, filters []string) {
	d := &v.page
	d.Filters = texts(filters)
	d.Files = texts(r.titles[:min(len(r.titles), maxFiles)])
	d.MoreFiles = len(r.titles) - len(d.Files)
	if r.maybe > 0 {
		d.Unsure = textf("%s left out: the log does not say whether the filters match, because the line is a short one.",
			are(uint64(r.maybe), "more record"))
	}
	d.Problems = texts(append(problems(found), r.auditProblems()...))
	if d.Rest = len(d.Problems) - maxProblems; d.Rest > 0 {
		d.Problems = d.Problems[:maxProblems]
	}
	switch {
	case !found.Complete:
		d.Verdict, d.Summary = "bad", "The log is not complete."
	case len(found.Boots) == 0 && r.audit.Events > 0:
		d.Verdict = "none"
		d.Summary = textf("No records in the input, only %s of the API server's audit log. They are not numbered: nobody can tell "+
			"whether one is missing.", numbered(uint64(r.audit.Events), "event"))
	case r.lines == 0:
		d.Verdict, d.Summary = "none", "No records in the input. It is empty, which does not prove that nothing was denied."
	case len(found.Boots) == 0:
		d.Verdict = "none"
		d.Summary = textf("No records in the input. None of its %s is a record, which does not prove that nothing was denied: "+
			"is it the standard output of the webhook?", count(r.lines, "line"))
	default:
		d.Verdict = "good"
		d.Summary = textf("The log is complete: %s of %s, none missing.",
			numbered(found.Records, "record"), processes(len(found.Boots)))
		if r.shown == 0 {
			d.Summary += " None of them matches the filters; records of the enforcement probe only show with --action probed."
		}
	}
}

// numbered is a number with separators and its noun.
func numbered(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return page.Number(n) + " " + noun + "s"
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

// pageGroup is a group as the page shows it.
func pageGroup(g *mergedGroup, variants []*variant) page.Group {
	shown := page.Group{
		Class: page.Text(g.row.Msg), Action: page.Text(outcome(g.row)), Node: page.Text(client(g.row)), Write: page.Text(write(g.row)),
		Count: g.count, First: g.first, Last: g.last, Further: g.count,
	}
	for _, v := range g.row.Violations {
		shown.Violated = append(shown.Violated, page.Violated{Rule: page.Text(v.Rule), Policy: page.Text(policyText(g.row, v))})
	}
	for _, v := range variants {
		of := page.Variant{Object: pageObject(v.row), Count: v.count, First: v.first, Last: v.last, ID: pageID(v.row)}
		for _, violation := range v.row.Violations {
			of.Details = append(of.Details, page.Text(merged(v.row, violation.Detail)))
		}
		shown.Variants = append(shown.Variants, of)
		shown.Further -= v.count
	}
	return shown
}

// pageObject is the object of a record, or nothing if that is the node itself.
func pageObject(row *recordlog.Row) page.Text {
	if row.Resource == "nodes" && row.Name == row.Node {
		return ""
	}
	return page.Text(object(row))
}

func pageID(row *recordlog.Row) page.ID {
	return page.ID{Boot: page.Text(row.Boot), UID: page.Text(row.UID), Seq: row.Seq}
}

// ruleTitles are the titles of the rules that groups name.
func ruleTitles(groups []page.Group) []page.Rule {
	named := map[page.Text]bool{}
	for i := range groups {
		for _, v := range groups[i].Violated {
			named[v.Rule] = true
		}
	}
	var all []page.Rule
	for _, rule := range rules.All() {
		if named[page.Text(rule.ID)] {
			all = append(all, page.Rule{ID: page.Text(rule.ID), Title: page.Text(rule.Doc.Title)})
		}
	}
	return all
}

func textf(format string, args ...any) page.Text { return page.Text(fmt.Sprintf(format, args...)) }

func texts(all []string) []page.Text {
	var converted []page.Text
	for _, s := range all {
		converted = append(converted, page.Text(s))
	}
	return converted
}
