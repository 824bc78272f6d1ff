// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	_ "embed" // for the template and the style
	"errors"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/report"
	"noderestriction.plus/internal/text"
)

// Write writes the report in a format.
func (r *Report) Write(w io.Writer, output *command.Output) error {
	switch output.String() {
	case command.FormatJUnit:
		return r.writeJUnit(w)
	case formatSARIF:
		return r.writeSARIF(w)
	case formatHTML:
		return r.writeHTML(w)
	}
	return output.Write(w, r, r.WriteText)
}

// WriteText writes the report as a table.
func (r *Report) WriteText(w io.Writer) error {
	table := command.Table{Header: []string{"ATTACK", "STOPPED BY", "WITHOUT US", "NOTE"}}
	for i := range r.Items {
		item := &r.Items[i]
		table.Add(item.Attack, fold(item.Stopper), item.WithoutUs, command.Wrap(item.remark(), "", noteWidth))
	}
	if err := table.Write(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(r.Summary(), "\n"))
	return err
}

const (
	noteWidth = 60
	// stopperWidth is where a long list of rules continues in another line.
	stopperWidth = 40
)

// fold breaks a list of rules into lines.
func fold(s string) string {
	if len(s) <= stopperWidth {
		return s
	}
	return strings.ReplaceAll(s, ", ", ",\n  ")
}

// remark is what texts say beside who stopped an attack.
func (r *Result) remark() string {
	switch {
	case r.Note != "":
		return r.Note
	case r.by == NotTried, r.by == Admission, r.by == APIServer, r.by == Nobody:
		return r.Detail
	}
	return ""
}

// Summary returns sentences about the whole run.
func (r *Report) Summary() []string {
	stopped := len(r.Items) - r.count(Nobody, NotTried)
	var by []string
	for _, s := range []Stopper{Here, NodeRestriction, Authorizer, VAP, Webhook, Admission, APIServer} {
		if n := r.count(s); n > 0 {
			by = append(by, fmt.Sprintf("%d %s", n, s))
		}
	}
	lines := []string{fmt.Sprintf("%d attacks: %d stopped (%s), %d pass, %d not tried.",
		len(r.Items), stopped, strings.Join(by, ", "), r.count(Nobody), r.count(NotTried))}
	stock := "that of Kubernetes " + StockVersion + " with the Node authorizer and NodeRestriction."
	if r.Account != "" {
		stock = "that of a cluster where RBAC allows the service account each of these writes."
	}
	if r.Offline {
		lines = append(lines, "Nothing was sent. The column WITHOUT US is "+stock)
	} else {
		lines = append(lines, "Nothing was written: every request was a dry run.")
	}
	if !r.Offline && slices.ContainsFunc(r.Items, func(i Result) bool { return i.unnamed() }) {
		lines = append(lines, "Where STOPPED BY begins with here, the column WITHOUT US is "+stock)
	}
	if !r.PoliciesKnown {
		lines = append(lines, "The policies are not known, so nothing had to be stopped; name them with --policy.")
	}
	return lines
}

// Err is the error of the command: what could not be tried, or else how many attacks had to be stopped and were not.
func (r *Report) Err() error {
	var failed []error
	missed := 0
	for i := range r.Items {
		item := &r.Items[i]
		if item.missed() {
			missed++
		}
		if item.Failed {
			failed = append(failed, fmt.Errorf("%s: not tried: %s", item.Attack, item.Detail))
		}
	}
	switch {
	case missed > 0:
		return command.No("%d of %d attacks were not stopped, although a policy forbids them", missed, len(r.Items))
	case len(failed) > 0:
		return errors.Join(failed...)
	case r.count(NotTried) == len(r.Items):
		return errors.New("no attack could be tried")
	}
	return nil
}

// writeJUnit writes a suite with a case for each attack.
func (r *Report) writeJUnit(w io.Writer) error {
	suite := report.JUnitSuite{Name: UserAgent, Tests: len(r.Items)}
	var total time.Duration
	for i := range r.Items {
		item := &r.Items[i]
		total += item.took
		c := report.JUnitCase{Class: "attack", Name: item.Attack, Time: report.Seconds(item.took)}
		if item.Rule != "" {
			c.Class = item.Rule
		}
		switch {
		case item.missed():
			suite.Failures++
			c.Failure = &report.JUnitProblem{Message: "nobody stopped it", Text: item.Does + "\n" + item.Note}
		case item.Failed:
			suite.Errors++
			c.Error = &report.JUnitProblem{Message: item.Detail, Text: item.Does}
		case item.by == NotTried:
			suite.Skipped++
			c.Skipped = &report.JUnitProblem{Message: item.Detail}
		default:
			c.Output = strings.TrimSuffix("stopped by "+item.Stopper+": "+item.remark(), ": ")
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = report.Seconds(total)
	return suite.Write(w)
}

// writeSARIF writes a result for each attack: an error if a policy forbids it and nobody stopped it, a warning if it passes.
func (r *Report) writeSARIF(w io.Writer) error {
	var rules []report.SARIFRule
	var results []report.SARIFResult
	for i := range r.Items {
		item := &r.Items[i]
		rules = append(rules, report.SARIFRule{ID: item.Attack, Description: report.SARIFText{Text: r.kind() + " " + item.Does}})
		result := report.SARIFResult{RuleID: item.Attack, Level: "none", Message: report.SARIFText{Text: item.sentence()}}
		switch {
		case item.missed():
			result.Level = "error"
		case item.by == Nobody:
			result.Level = "warning"
		case item.by == NotTried:
			result.Kind = "notApplicable"
		default:
			result.Kind = "pass"
		}
		if len(r.files) > 0 && r.files[0] != command.StandardInput {
			result.Locations = []report.SARIFLocation{report.NewSARIFLocation(filepath.Clean(r.files[0]), 0, 0)}
		}
		results = append(results, result)
	}
	return report.WriteSARIF(w, rules, results)
}

// kind is what the attacker is.
func (r *Report) kind() string {
	if r.Account != "" {
		return "A node agent"
	}
	return "A kubelet"
}

// attacker names the attacker.
func (r *Report) attacker() string {
	if r.Account != "" {
		return fmt.Sprintf("node agent %s on %s", text.Quote(r.Account), text.Quote(r.Node))
	}
	return "node " + text.Quote(r.Node)
}

// sentence says what happened to an attack.
func (r *Result) sentence() string {
	s := "Stopped by " + r.Stopper
	switch r.by {
	case Nobody:
		s = "Nobody stops it"
	case NotTried:
		s = "Not tried"
	}
	if remark := r.remark(); remark != "" {
		s += ": " + remark
	}
	return s
}

//go:embed page.html.tmpl
var pageSource string

//go:embed page.css
var pageStyle string

// writeHTML writes a page that needs no network and no script. html/template escapes whatever the API server has said.
func (r *Report) writeHTML(w io.Writer) error {
	page, err := template.New("page").Funcs(template.FuncMap{
		"clock": func(t *time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"class": func(r Result) string {
			switch {
			case r.missed():
				return "missed"
			case r.by == Nobody:
				return "passes"
			case r.by == NotTried:
				return "untried"
			}
			return "stopped"
		},
		"remark": func(r Result) string { return r.remark() },
	}).Parse(pageSource)
	if err != nil {
		return err
	}
	return page.Execute(w, struct {
		*Report
		report.Page
		Summary []string
		Who     string
	}{r, report.NewPage(pageStyle), r.Summary(), r.kind()})
}
