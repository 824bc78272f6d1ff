// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// counts are numbers of tests, including those that only have parts.
type counts struct{ passed, skipped int }

func (c counts) String() string {
	text := fmt.Sprintf("%d passed", c.passed)
	if c.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", c.skipped)
	}
	return text
}

// event is a line of go test -json.
type event struct{ Action, Test, Output string }

// readEvents counts the tests in the output of go test -json, and returns the names of those that passed. It writes the output of
// tests that fail, and what is not a test's.
func readEvents(in io.Reader, all *counts, log io.Writer) (passed []string, err error) {
	output := map[string]string{} // of tests that are running
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintf(log, "%s\n", lines.Bytes())
			continue
		}
		switch {
		case e.Action == "output" && e.Test == "":
			fmt.Fprint(log, e.Output)
		case e.Action == "output":
			output[e.Test] += e.Output
		case e.Test == "":
		case e.Action == "pass":
			all.passed++
			passed = append(passed, e.Test)
		case e.Action == "skip":
			all.skipped++
		case e.Action == "fail":
			fmt.Fprint(log, output[e.Test])
		}
		if e.Action == "pass" || e.Action == "skip" || e.Action == "fail" {
			delete(output, e.Test)
		}
	}
	for _, unfinished := range output {
		fmt.Fprint(log, unfinished)
	}
	return passed, lines.Err()
}

// minor returns the minor version of a release: 1.31 of v1.31.14.
func minor(release string) string {
	parts := strings.SplitN(strings.TrimPrefix(release, "v"), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
