// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/report"
)

// writeJUnit writes one suite with a case for each fixture: its class is the directory, its name the file.
func (r *testReport) writeJUnit(w io.Writer) error {
	suite := report.JUnitSuite{Name: program.Name, Tests: len(r.Items), Failures: r.Failed, Errors: r.Wrong}
	var total time.Duration
	for _, result := range r.Items {
		total += result.took
		c := report.JUnitCase{
			Class: filepath.ToSlash(filepath.Dir(result.File)), Name: filepath.Base(result.title()), Time: report.Seconds(result.took),
		}
		switch result.Result {
		case failed:
			c.Failure = &report.JUnitProblem{
				Message: result.Comment, Text: fmt.Sprintf("want: %s\ngot:  %s", result.Want, result.Got),
			}
		case wrong:
			c.Error = &report.JUnitProblem{Message: result.Error}
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = report.Seconds(total)
	return suite.Write(w)
}

// writeJUnit writes one suite with a case for each policy: its class is the file, its name the name of the policy.
func (r *checkReport) writeJUnit(w io.Writer) error {
	suite := report.JUnitSuite{
		Name: program.Name, Tests: len(r.Items) + len(r.Unreadable), Failures: r.invalid(), Errors: len(r.Unreadable), Time: report.Seconds(0),
	}
	for i := range r.Items {
		p := &r.Items[i]
		c := report.JUnitCase{Class: filepath.ToSlash(p.File), Name: p.Name, Time: report.Seconds(0)}
		if !p.Valid {
			c.Failure = &report.JUnitProblem{Message: plural(len(p.Errors), "error")}
			for i := range p.Errors {
				c.Failure.Text += p.Errors[i].place + ": " + p.Errors[i].text + "\n"
			}
		}
		suite.Cases = append(suite.Cases, c)
	}
	for i := range r.Unreadable {
		p := &r.Unreadable[i]
		suite.Cases = append(suite.Cases, report.JUnitCase{
			Class: filepath.ToSlash(p.File), Name: "unreadable", Time: report.Seconds(0),
			Error: &report.JUnitProblem{Message: p.text, Text: p.place},
		})
	}
	return suite.Write(w)
}
