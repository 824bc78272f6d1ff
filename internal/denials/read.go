// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/crosscheck"
	"noderestriction.plus/internal/decisionlog"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/recordlog"
)

// reader reads logs and hands the records that are wanted to a view.
type reader struct {
	open   func(name string) (io.ReadCloser, error)
	filter *recordlog.Filter
	log    *recordlog.Log
	audit  *decisionlog.Log
	check  *crosscheck.Check // nil: records and audit logs are not compared
	view   view
	out    *bufio.Writer // to which the view writes

	titles []string // of the inputs, in the order in which they were read

	lines  int
	quoted int // lines that quote records
	seen   int // records
	shown  int
	maybe  int // records that the filters may or may not match
}

// Read reads logs in the order of their first records, and calls a function with each record that matches the filter. It returns the
// log, and how many records may match, because their lines are too short to tell. Files are opened by the given function. An error
// names the file.
func Read(
	open func(name string) (io.ReadCloser, error), files []string, filter *recordlog.Filter, each func(*recordlog.Row),
) (log *recordlog.Log, maybe int, err error) {
	r := &reader{open: open, filter: filter, log: recordlog.NewLog(), view: rowFunc(each), out: bufio.NewWriter(io.Discard)}
	err = r.readAll(files)
	return r.log, r.maybe, err
}

// rowFunc is a view that calls a function.
type rowFunc func(*recordlog.Row)

func (f rowFunc) add(row *recordlog.Row) error {
	f(row)
	return nil
}

func (rowFunc) finish() error { return nil }

func (r *reader) readAll(files []string) error {
	for _, file := range inOrder(files) {
		r.titles = append(r.titles, command.Title(file))
		if err := r.read(file); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) read(file string) error {
	f, err := r.open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	reader, err := recordlog.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", command.Title(file), err)
	}
	for {
		line, err := reader.Next()
		if errors.Is(err, io.EOF) {
			r.quoted += reader.Quoted()
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", command.Title(file), err)
		}
		r.lines++
		if err := r.add(file, &line); err != nil {
			return err
		}
		if reader.Idle() { // the writer of the log may pause: show what there is
			if err := r.out.Flush(); err != nil {
				return err
			}
		}
	}
}

func (r *reader) add(file string, line *recordlog.Line) error {
	entry := r.log.Add(command.Title(file), line)
	if entry == nil {
		return nil
	}
	if r.check != nil {
		r.check.AddRecord(entry)
	}
	return r.show(entry)
}

// show shows a record that is wanted.
func (r *reader) show(entry *recordlog.Entry) error {
	r.seen++
	match, violations := r.filter.Match(entry)
	switch match {
	case recordlog.No:
		return nil
	case recordlog.Maybe:
		r.maybe++
		return nil
	}
	r.shown++
	return r.view.add(&recordlog.Row{Entry: *entry, Violations: violations})
}

// warn says what a reader of the answer should know beside it.
func (r *reader) warn(w io.Writer, found recordlog.Completeness) {
	r.warnOfAudit(w)
	switch {
	case r.seen == 0 && r.quoted > 0:
		notef(w, "there is no record in %s, but %d quote one: unwrap them first, such as by jq -r .FIELD or a CSV reader",
			count(r.lines, "line"), r.quoted)
	case r.seen == 0 && r.lines > 0:
		notef(w, "there is no record in %s: is it the standard output of the webhook?", count(r.lines, "line"))
	case r.shown == 0:
		notef(w, "no denials found")
	}
	if r.maybe > 0 {
		notef(w, "%s left out: the log does not say whether the filters match, because the line is a short one",
			count(r.maybe, "more record"))
	}
	if problems := innerProblems(found); problems != "" {
		notef(w, "the log is not complete: %s; --verify says more", problems)
	}
}

// notef prints a remark that is not part of the answer.
func notef(w io.Writer, format string, args ...any) {
	command.PrintError(w, program.Plugin, fmt.Sprintf(format, args...))
}

// count is a number with its noun.
func count[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// inOrder sorts files by the time of their first record, since a short line refers to an earlier one, and the names of
// rotated files are in any order. What can be read only once stays where it is, after the others.
func inOrder(files []string) []string {
	if len(files) < 2 {
		return files
	}
	begins := map[string]time.Time{}
	var sorted, others []string
	for _, file := range files {
		info, err := os.Stat(file)
		if file == command.StandardInput || err != nil || !info.Mode().IsRegular() {
			others = append(others, file)
			continue
		}
		sorted = append(sorted, file)
		if _, known := begins[file]; !known {
			begins[file] = begin(file)
		}
	}
	slices.SortStableFunc(sorted, func(a, b string) int { return begins[a].Compare(begins[b]) })
	return append(sorted, others...)
}

// begin is the time of the first record of a file. What is wrong with the file is found when it is read.
func begin(file string) time.Time {
	f, err := os.Open(file)
	if err != nil {
		return time.Time{}
	}
	defer f.Close()
	reader, err := recordlog.NewReader(f)
	if err != nil {
		return time.Time{}
	}
	for {
		line, err := reader.Next()
		if err != nil {
			return time.Time{}
		}
		if line.Kind == recordlog.Full || line.Kind == recordlog.Brief || line.Kind == recordlog.Compact {
			return time.Time(line.Record.Time)
		}
	}
}
