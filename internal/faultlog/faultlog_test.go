// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package faultlog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"

	"noderestriction.plus/internal/faultlog"
)

// newLog returns a Log and the lines that it has written.
func newLog() (*faultlog.Log, func() []string) {
	var lines []string
	log := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
	return faultlog.New(log), func() []string { return lines }
}

func TestReport(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		results string // comma-separated errors; "ok" is a success
		want    []string
	}{
		{"a success alone is not logged", "ok,ok", nil},
		{"an error that persists is logged once", "a,a,a", []string{`error="a"`}},
		{"an error with another cause is logged again", "a,b,b", []string{`error="a"`, `error="b"`}},
		{"the end is logged once", "a,a,ok,ok", []string{`error="a"`, "Recovered"}},
		{"an error that comes back is logged again", "a,ok,a", []string{`error="a"`, "Recovered", `error="a"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			faults, lines := newLog()
			for result := range strings.SplitSeq(test.results, ",") {
				faults.Report("Cannot write", parse(result), "name", "x")
				faults.Report("Cannot read", nil) // another fault changes nothing
			}
			same := slices.EqualFunc(lines(), test.want, func(line, want string) bool {
				return strings.Contains(strings.ReplaceAll(line, `"error"="`, `error="`), want) &&
					strings.Contains(line, "Cannot write") && strings.Contains(line, `"name"="x"`)
			})
			if !same {
				t.Errorf("got %q, want %q", lines(), test.want)
			}
		})
	}
}

func TestChanged(t *testing.T) {
	t.Parallel()
	faults, lines := newLog()
	var got []bool
	for _, err := range []error{nil, nil, errors.New("a"), errors.New("a"), errors.New("b"), nil} {
		got = append(got, faults.Changed("Not ready", err))
	}
	if want := []bool{true, false, true, false, true, true}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(lines()) != 0 {
		t.Errorf("Changed has logged %q", lines())
	}
}

func parse(result string) error {
	if result == "ok" {
		return nil
	}
	return errors.New(result)
}
