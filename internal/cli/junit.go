// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"noderestriction.plus/internal/program"
)

// The part of JUnit's report format that CI systems read.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitProblem `xml:"failure"`
		Error   *junitProblem `xml:"error"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes one suite with a case for each fixture: its class is the directory, its name the file.
func (r *testReport) writeJUnit(w io.Writer) error {
	suite := junitSuite{Name: program.Name, Tests: len(r.Items), Failures: r.Failed, Errors: r.Wrong}
	var total time.Duration
	for _, result := range r.Items {
		total += result.took
		c := junitCase{
			Class: filepath.ToSlash(filepath.Dir(result.File)), Name: filepath.Base(result.title()), Time: seconds(result.took),
		}
		switch result.Result {
		case failed:
			c.Failure = &junitProblem{
				Message: result.Comment, Text: fmt.Sprintf("want: %s\ngot:  %s", result.Want, result.Got),
			}
		case wrong:
			c.Error = &junitProblem{Message: result.Error}
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = seconds(total)
	return suite.write(w)
}

// writeJUnit writes one suite with a case for each policy: its class is the file, its name the name of the policy.
func (r *checkReport) writeJUnit(w io.Writer) error {
	suite := junitSuite{
		Name: program.Name, Tests: len(r.Items) + len(r.Unreadable), Failures: r.invalid(), Errors: len(r.Unreadable), Time: seconds(0),
	}
	for i := range r.Items {
		p := &r.Items[i]
		c := junitCase{Class: filepath.ToSlash(p.File), Name: p.Name, Time: seconds(0)}
		if !p.Valid {
			c.Failure = &junitProblem{Message: plural(len(p.Errors), "error")}
			for i := range p.Errors {
				c.Failure.Text += p.Errors[i].place + ": " + p.Errors[i].text + "\n"
			}
		}
		suite.Cases = append(suite.Cases, c)
	}
	for i := range r.Unreadable {
		p := &r.Unreadable[i]
		suite.Cases = append(suite.Cases, junitCase{
			Class: filepath.ToSlash(p.File), Name: "unreadable", Time: seconds(0), Error: &junitProblem{Message: p.text, Text: p.place},
		})
	}
	return suite.write(w)
}

func (s *junitSuite) write(w io.Writer) error {
	out, err := xml.MarshalIndent(junitSuites{Suites: []junitSuite{*s}}, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, out)
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
