// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	_ "embed" // for the template and the style
	"encoding/csv"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/report"
	"noderestriction.plus/internal/text"
)

// Write writes the report in a format.
func (r *Report) Write(w io.Writer, output *command.Output) error {
	switch output.String() {
	case formatCSV:
		return r.writeCSV(w)
	case command.FormatJUnit:
		return r.writeJUnit(w)
	case formatSARIF:
		return r.writeSARIF(w)
	case formatHTML:
		return r.writeHTML(w)
	}
	return output.Write(w, r, r.WriteText)
}

// writeCSV writes the groups of --by, the listed writes, or the rules that would have denied writes.
func (r *Report) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	switch {
	case r.asksAccounts:
		for _, row := range r.accountRows() {
			_ = out.Write(text.Cells(row...))
		}
	case len(r.By) > 0:
		_ = out.Write(append(append([]string(nil), r.By...), "writes", "first", "last"))
		for i := range r.Groups {
			g := &r.Groups[i]
			row := append([]string(nil), g.ordered...)
			_ = out.Write(text.Cells(append(row, strconv.Itoa(g.Writes), g.First.Format(time.RFC3339), g.Last.Format(time.RFC3339))...))
		}
	case r.listed:
		_ = out.Write([]string{"time", "node", "account", "operation", "resource", "namespace", "name", "userAgent", "dryRun", "verdict"})
		for i := range r.Items {
			item := &r.Items[i]
			_ = out.Write(text.Cells(
				item.Time.Format(time.RFC3339), item.Node, item.Account, item.Operation, item.Resource, item.Namespace, item.Name, item.UserAgent,
				strconv.FormatBool(item.DryRun), item.verdict(),
			))
		}
	default:
		_ = out.Write([]string{"policy", "rule", "nodes", "writes", "first", "last", "example", "allow"})
		for i := range r.Rules {
			c := &r.Rules[i]
			_ = out.Write(text.Cells(
				c.Policy, c.Rule, strconv.Itoa(c.Nodes), strconv.Itoa(c.Writes), c.First.Format(time.RFC3339), c.Last.Format(time.RFC3339),
				c.Example, c.Allow,
			))
		}
	}
	out.Flush()
	return out.Error()
}

// writeJUnit writes a test case for each rule that would have denied writes, which has failed, and one for each reason of unknown ones,
// which was skipped.
func (r *Report) writeJUnit(w io.Writer) error {
	suite := report.JUnitSuite{Name: "replay", Time: report.Seconds(0)}
	add := func(c report.JUnitCase) {
		c.Time = report.Seconds(0)
		suite.Tests++
		suite.Cases = append(suite.Cases, c)
	}
	for i := range r.Rules {
		c := &r.Rules[i]
		suite.Failures++
		add(report.JUnitCase{Class: "replay." + c.Policy, Name: c.Rule, Failure: &report.JUnitProblem{Message: c.sentence(), Text: c.Example}})
	}
	for i := range r.Because {
		c := &r.Because[i]
		suite.Skipped++
		add(report.JUnitCase{Class: "replay.unknown", Name: c.Reason, Skipped: &report.JUnitProblem{Message: c.sentence()}})
	}
	if suite.Tests == 0 {
		add(report.JUnitCase{Class: "replay", Name: "nothing would be denied", Output: count(r.Writes, "write")})
	}
	return suite.Write(w)
}

func (c *RuleCount) sentence() string {
	return fmt.Sprintf("would deny %s on %s, for example: %s", count(c.Writes, "write"), count(c.Nodes, "node"), c.Example)
}

func (c *ReasonCount) sentence() string {
	s := fmt.Sprintf("%s without the verdict of %s", count(c.Writes, "write"), strings.Join(c.Rules, ", "))
	if c.Remedy != "" {
		s += "; remedy: " + c.Remedy
	}
	return s
}

// writeSARIF writes an error for each rule that would have denied writes, and a note for each reason of unknown ones.
func (r *Report) writeSARIF(w io.Writer) error {
	var rules []report.SARIFRule
	var results []report.SARIFResult
	for i := range r.Rules {
		c := &r.Rules[i]
		id := c.Policy + "/" + c.Rule
		described := report.SARIFText{Text: "writes that the rule would have denied; see " + c.Allow}
		rules = append(rules, report.SARIFRule{ID: id, Description: described})
		results = append(results, report.SARIFResult{RuleID: id, Level: "error", Message: report.SARIFText{Text: c.sentence()}})
	}
	for i := range r.Because {
		c := &r.Because[i]
		rules = append(rules, report.SARIFRule{ID: c.Reason, Description: report.SARIFText{Text: "writes without a verdict"}})
		results = append(results, report.SARIFResult{
			RuleID: c.Reason, Kind: "notApplicable", Level: "none", Message: report.SARIFText{Text: c.sentence()},
		})
	}
	return report.WriteSARIF(w, rules, results)
}

//go:embed page.html.tmpl
var pageSource string

//go:embed page.css
var pageStyle string

// writeHTML writes a page that needs no network and no script. html/template escapes whatever clients have sent.
func (r *Report) writeHTML(w io.Writer) error {
	page, err := template.New("page").Funcs(template.FuncMap{
		"clock": func(t time.Time) string { return t.UTC().Format(clock) }, "digits": digits,
		"join": func(s []string) string { return strings.Join(s, ", ") }, "verdict": (*Item).verdict, "object": (*Item).object,
		"client": (*Item).client,
		"values": func(g Group) []string { return g.ordered }, "breaks": (*AccountCount).verdict, "without": (*AccountCount).without,
	}).Parse(pageSource)
	if err != nil {
		return err
	}
	accounts := make([]*AccountCount, len(r.Accounts))
	for i := range r.Accounts {
		accounts[i] = &r.Accounts[i]
	}
	items := make([]*Item, len(r.Items))
	for i := range r.Items {
		items[i] = &r.Items[i]
	}
	return page.Execute(w, struct {
		*Report
		report.Page
		Period  string
		Notes   []string
		Covered []string
		Listed  []*Item
		Clients string
		Others  []*AccountCount
	}{r, report.NewPage(pageStyle), r.period(), r.notes(), r.coverageLines(), items, r.clients(), accounts[:min(len(accounts), r.limit)]})
}
