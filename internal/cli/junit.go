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

// writeJUnit writes one suite with a case for each fixture: its class is the folder, its name the file.
func (r *testReport) writeJUnit(w io.Writer) error {
	suite := junitSuite{Name: program.Name, Tests: len(r.Results), Failures: r.Failed, Errors: r.Wrong}
	var total time.Duration
	for _, result := range r.Results {
		total += result.took
		c := junitCase{
			Class: filepath.ToSlash(filepath.Dir(result.File)), Name: filepath.Base(result.File), Time: seconds(result.took),
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
	out, err := xml.MarshalIndent(junitSuites{Suites: []junitSuite{suite}}, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, out)
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
