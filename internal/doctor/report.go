// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	_ "embed" // for the template and the style
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/doctor/checks"
	"noderestriction.plus/internal/report"
	"noderestriction.plus/internal/text"
)

// Report is what the command prints.
type Report struct {
	command.Envelope
	Server         string           `json:"server,omitempty"`
	ServerVersions []string         `json:"serverVersions,omitempty"`
	User           string           `json:"user"`
	Node           string           `json:"node,omitempty"` // about whose kubelet the API server was asked
	Time           time.Time        `json:"time"`
	Items          []checks.Finding `json:"items"`
}

// Diagnose runs all checks except the skipped ones on a snapshot.
func Diagnose(s *checks.Snapshot, server string, skip []string) *Report {
	r := &Report{
		Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: "DoctorFindingList"},
		Server:   server, User: text.Printable(s.User.User), Node: text.Printable(s.Node), Time: s.Now, Items: []checks.Finding{},
	}
	for _, v := range s.Versions.Value {
		r.ServerVersions = append(r.ServerVersions, text.Printable(v))
	}
	for _, c := range checks.All() {
		if !slices.Contains(skip, c.ID) {
			r.Items = append(r.Items, c.Run(s))
		}
	}
	return r
}

// verdicts returns all verdicts, the worst first.
func verdicts() []checks.Verdict {
	return []checks.Verdict{checks.Bad, checks.Weak, checks.CannotTell, checks.OK}
}

func (r *Report) count(v checks.Verdict) int {
	n := 0
	for i := range r.Items {
		if r.Items[i].Verdict == v {
			n++
		}
	}
	return n
}

// Summary returns a sentence about all checks.
func (r *Report) Summary() string {
	var counts []string
	for _, v := range verdicts() {
		counts = append(counts, fmt.Sprintf("%d %s", r.count(v), v))
	}
	return fmt.Sprintf("%d checks: %s. Nothing was written.", len(r.Items), strings.Join(counts, ", "))
}

// Err is the error of the command.
func (r *Report) Err() error {
	switch bad, unknown := r.count(checks.Bad), r.count(checks.CannotTell); {
	case bad > 0:
		return command.No("%d of %d checks are bad", bad, len(r.Items))
	case unknown == len(r.Items):
		return errors.New("no check can tell anything")
	}
	return nil
}

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

// sorted returns the findings, the worst and most severe first.
func (r *Report) sorted() []checks.Finding {
	severities := []string{"critical", "high", "medium", "low"}
	return slices.SortedStableFunc(slices.Values(r.Items), func(a, b checks.Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(verdicts(), a.Verdict), slices.Index(verdicts(), b.Verdict)),
			cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)))
	})
}

const lineWidth = 120

// WriteText writes the findings, the worst first. A command is one line, however long it is.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	shown := map[string]string{}
	for _, f := range r.sorted() {
		writeFinding(&b, &f, shown)
	}
	fmt.Fprintf(&b, "%s\n", r.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// writeFinding writes a finding. Shown has the check by each command that was written before.
func writeFinding(b *strings.Builder, f *checks.Finding, shown map[string]string) {
	fmt.Fprintf(b, "%-11s  %-8s  %s\n", strings.ToUpper(string(f.Verdict)), f.Severity, f.Check)
	line := func(indent, s string) { b.WriteString(command.Wrap(s, indent, lineWidth)) }
	for i := range f.Evidence {
		e := &f.Evidence[i]
		line("    ", strings.TrimSpace(e.Object+" "+e.Field)+":")
		line("      ", string(e.Verdict)+": "+e.Says)
		writeFix(b, &e.Fix, f.Check, shown, line)
	}
	if f.More > 0 {
		line("    ", fmt.Sprintf("%d more are not shown", f.More))
	}
	for _, m := range f.Missing {
		switch {
		case m.Permission == "":
			line("    ", "cannot tell: "+m.Why)
		case m.Command == "" || shown[m.Command] != "":
			line("    ", "cannot tell without the permission to "+m.Permission+same(shown[m.Command]))
		default:
			line("    ", "cannot tell without the permission to "+m.Permission)
			b.WriteString("      grant:\n        " + m.Command + "\n")
			shown[m.Command] = f.Check
		}
	}
	for _, note := range f.Notes {
		line("    ", "note: "+note)
	}
	if len(f.Evidence) > 0 {
		line("    ", "An attacker "+f.Gain+".")
		line("    ", f.Docs)
	}
	b.WriteString("\n")
}

func same(check string) string {
	if check == "" {
		return ""
	}
	return ", as for " + check
}

func writeFix(b *strings.Builder, fix *checks.Fix, check string, shown map[string]string, line func(indent, s string)) {
	where := ""
	switch fix.On {
	case checks.OnControlPlane:
		where = ", as root on each node of the control plane"
	case checks.OnNode:
		where = ", as root on the node"
	}
	switch {
	case fix.Command == "":
		line("      ", "fix"+where+": "+fix.Note)
		return
	case shown[fix.Command] == check:
		line("      ", "fix: the command above")
		return
	case shown[fix.Command] != "":
		line("      ", "fix: the same command as for "+shown[fix.Command])
		return
	}
	shown[fix.Command] = check
	line("      ", "fix"+where+":")
	b.WriteString("        " + fix.Command + "\n")
	if fix.Note != "" {
		line("        ", "("+fix.Note+")")
	}
}

// sentence says what a finding is in one line.
func sentence(f *checks.Finding) string {
	var parts []string
	for i := range f.Evidence {
		parts = append(parts, strings.TrimSpace(f.Evidence[i].Object+" "+f.Evidence[i].Field)+": "+f.Evidence[i].Says)
	}
	for _, m := range f.Missing {
		if m.Permission != "" {
			parts = append(parts, "cannot tell without the permission to "+m.Permission)
		}
		if m.Why != "" {
			parts = append(parts, m.Why)
		}
	}
	if len(parts) == 0 {
		parts = f.Notes
	}
	if len(parts) == 0 {
		parts = []string{string(f.Verdict)}
	}
	return strings.Join(parts, "; ")
}

func (r *Report) writeJUnit(w io.Writer) error {
	suite := report.JUnitSuite{Name: UserAgent, Tests: len(r.Items), Time: report.Seconds(0)}
	for i := range r.Items {
		f := &r.Items[i]
		c := report.JUnitCase{Class: "doctor." + f.Severity, Name: f.Check, Time: report.Seconds(0)}
		switch f.Verdict {
		case checks.Bad:
			suite.Failures++
			var fixes []string
			for n := range f.Evidence {
				fixes = append(fixes, strings.TrimSpace(f.Evidence[n].Fix.Command+"\n"+f.Evidence[n].Fix.Note))
			}
			c.Failure = &report.JUnitProblem{Message: sentence(f), Text: strings.Join(fixes, "\n")}
		case checks.CannotTell:
			suite.Skipped++
			c.Skipped = &report.JUnitProblem{Message: sentence(f)}
		case checks.Weak, checks.OK:
			c.Output = string(f.Verdict) + ": " + sentence(f)
		}
		suite.Cases = append(suite.Cases, c)
	}
	return suite.Write(w)
}

// writeSARIF writes a result for each check: an error if it is bad, a warning if it is weak.
func (r *Report) writeSARIF(w io.Writer) error {
	var rules []report.SARIFRule
	var results []report.SARIFResult
	for i := range r.Items {
		f := &r.Items[i]
		rules = append(rules, report.SARIFRule{ID: f.Check, Description: report.SARIFText{Text: f.Asks}})
		result := report.SARIFResult{RuleID: f.Check, Level: "none", Message: report.SARIFText{Text: sentence(f)}}
		switch f.Verdict {
		case checks.Bad:
			result.Level = "error"
		case checks.Weak:
			result.Level = "warning"
		case checks.CannotTell:
			result.Kind = "notApplicable"
		case checks.OK:
			result.Kind = "pass"
		}
		results = append(results, result)
	}
	return report.WriteSARIF(w, rules, results)
}

//go:embed page.html.tmpl
var pageSource string

//go:embed page.css
var pageStyle string

// writeHTML writes a page that needs no network and no script. html/template escapes whatever the API server has said.
func (r *Report) writeHTML(w io.Writer) error {
	page, err := template.New("page").Funcs(template.FuncMap{
		"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"class": func(v checks.Verdict) string { return strings.ReplaceAll(string(v), " ", "-") },
	}).Parse(pageSource)
	if err != nil {
		return err
	}
	return page.Execute(w, struct {
		*Report
		report.Page
		Sorted []checks.Finding
	}{r, report.NewPage(pageStyle), r.sorted()})
}
