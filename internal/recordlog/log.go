// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package recordlog reads the denial log: its lines from files and from what kubectl prints, what they say, and whether
// any are missing. A [Reader] reads one input, a [Log] takes the lines of all, and a [Filter], [Groups], [Newest] and
// [Timeline] answer what was in it. It asks for no order of the inputs but one: short lines are only understood after
// the full line that they refer to.
package recordlog

import (
	"hash/maphash"

	"noderestriction.plus/internal/record"
)

const (
	// Unknown stands for a value that is not in the log. A short line leaves most values out.
	Unknown = "?"
	// maxFlaws is how many lines that cannot be read are named. All are counted.
	maxFlaws = 20
)

// Entry is a record as far as the log tells.
type Entry struct {
	record.Record
	Source string // such as pod/web-0/main, if kubectl said so
	// Brief says that the line was a brief one: names may be cut, and of its violations policy and rule are known.
	Brief bool
	// Compact says that the line was a short one. Of the record's object only the resource is known, and of its
	// violations policy and rule.
	Compact bool
	// Like is the number of the full or brief line from which more is known than the line says. 0: there was none, and
	// of a compact record nothing but the node is known.
	Like uint64
}

// Target is the resource with its subresource, such as nodes/status.
func (e *Entry) Target() string {
	if e.Subresource == "" {
		return e.Resource
	}
	return e.Resource + "/" + e.Subresource
}

// Log is what was read of a log, in all its inputs.
type Log struct {
	seed  maphash.Seed
	boots map[string]*account
	order []*account // as they were met
	kinds kinds

	lines      uint64
	foreign    uint64
	unparsable uint64
	flaws      []Flaw

	entry Entry // the latest, so that none is allocated for each line
}

// Flaw is a line that cannot be read.
type Flaw struct {
	Input string `json:"input"`
	Line  int64  `json:"line"`
	Error string `json:"error"`
	Cut   bool   `json:"cut,omitempty"` // it is the last of its input, which ends within it
}

// NewLog returns a Log of nothing.
func NewLog() *Log {
	return &Log{seed: maphash.MakeSeed(), boots: map[string]*account{}, kinds: kinds{limit: maxKinds}}
}

// Add takes the next line of an input. If that is a record that was not there before, it returns it; the result is
// valid until the next call.
func (l *Log) Add(input string, line *Line) *Entry {
	l.lines++
	switch line.Kind {
	case Foreign:
		l.foreign++
	case Unparsable:
		l.unparsable++
		if len(l.flaws) < maxFlaws {
			l.flaws = append(l.flaws, Flaw{Input: input, Line: line.Number, Error: line.Err.Error(), Cut: line.Cut})
		}
	case Lost:
		l.account(line.Lost.Boot).lose(line.Lost)
	default:
		r := &line.Record
		if l.account(r.Boot).record(line, newDigest(l.seed, line)) {
			l.entry = Entry{
				Record: *r, Source: line.Source, Brief: line.Kind == Brief, Compact: line.Kind == Compact,
			}
			l.kinds.complete(&l.entry)
			return &l.entry
		}
	}
	return nil
}

func (l *Log) account(boot string) *account {
	a, ok := l.boots[boot]
	if !ok {
		a = newAccount(boot)
		l.boots[boot] = a
		l.order = append(l.order, a)
	}
	return a
}
