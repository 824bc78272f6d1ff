// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"
)

// The part of JUnit's report format that CI systems read.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []JUnitSuite `xml:"testsuite"`
	}
	// JUnitSuite is the only suite of a report.
	JUnitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr,omitempty"`
		Time     string      `xml:"time,attr"`
		Cases    []JUnitCase `xml:"testcase"`
	}
	// JUnitCase is a test case. Without a problem it has passed.
	JUnitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *JUnitProblem `xml:"failure"`
		Error   *JUnitProblem `xml:"error"`
		Skipped *JUnitProblem `xml:"skipped"`
		Output  string        `xml:"system-out,omitempty"`
	}
	// JUnitProblem is why a case has not passed.
	JUnitProblem struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// Write writes the report.
func (s *JUnitSuite) Write(w io.Writer) error {
	out, err := xml.MarshalIndent(junitSuites{Suites: []JUnitSuite{*s}}, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, out)
	return err
}

// Seconds is a duration as JUnit writes it.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
