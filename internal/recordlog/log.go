// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package recordlog reads the denial log from files and from the output of kubectl, and detects missing records. A [Reader] reads
// one input, a [Log] collects the lines of all inputs, and [Filter], [Groups], [Newest] and [Timeline] answer questions about
// the records. Inputs may be in any order, except that a short line is understood only after the full line that it refers
// to.
package recordlog

import (
	"hash/maphash"

	"noderestriction.plus/internal/record"
)

const (
	// Unknown stands for a value that is not in the log. A short line leaves most values out.
	Unknown = "?"
	// maxFlaws is the maximum number of unparsable lines that are named. All are counted.
	maxFlaws = 20
)

// Enforcer is who decided about a write.
type Enforcer string

// The enforcers.
const (
	Webhook Enforcer = "webhook"
	// Server is an API server, by its ValidatingAdmissionPolicies.
	Server Enforcer = "API server"
)

// Entry is a record as far as the log has it.
type Entry struct {
	record.Record
	// Enforcer is who decided. Only decisions of the webhook have records; those of the API server are in its audit log.
	Enforcer Enforcer
	Source   string // such as pod/web-0/main, if kubectl said so
	// Brief says that the line was a brief one: names may be cut, and only policy and rule of its violations are known.
	Brief bool
	// Compact says that the line was a compact one: only the resource of its object, and policy and rule of its violations are
	// known.
	Compact bool
	// Like is the number of the full or brief line that completes this one. 0: there was none, and only the node of a compact
	// record is known.
	Like uint64
}

// Target returns the resource with its subresource, such as nodes/status.
func (e *Entry) Target() string {
	if e.Subresource == "" {
		return e.Resource
	}
	return e.Resource + "/" + e.Subresource
}

// Log is what was read from all inputs of a log.
type Log struct {
	seed  maphash.Seed
	boots map[string]*sequence
	order []*sequence // in the order of their first lines
	kinds kinds

	lines      uint64
	foreign    uint64
	unparsable uint64
	flaws      []Flaw

	entry Entry // the latest, so that none is allocated for each line
}

// Flaw is a line that cannot be parsed.
type Flaw struct {
	Input string `json:"input"`
	Line  int64  `json:"line"`
	Error string `json:"error"`
	Cut   bool   `json:"cut,omitempty"` // it is the last of its input, which ends within it
}

// NewLog returns an empty Log.
func NewLog() *Log {
	return &Log{seed: maphash.MakeSeed(), boots: map[string]*sequence{}, kinds: kinds{limit: maxKinds}}
}

// Add adds the next line of an input. If that is a new record, it returns it; the result is valid until the next call.
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
		l.sequence(line.Lost.Boot).lose(line.Lost)
	default:
		r := &line.Record
		if l.sequence(r.Boot).record(line, newDigest(l.seed, line)) {
			l.entry = Entry{
				Record: *r, Enforcer: Webhook, Source: line.Source, Brief: line.Kind == Brief, Compact: line.Kind == Compact,
			}
			l.kinds.complete(&l.entry)
			return &l.entry
		}
	}
	return nil
}

// Has reports whether a record of a process has been read.
func (l *Log) Has(boot string, seq uint64) bool {
	s, known := l.boots[boot]
	return known && seq > 0 && s.has(seq)
}

// Mentioned returns the first and the last number of a process that the log has, or says that it lost. Both are 0 for an unknown process.
func (l *Log) Mentioned(boot string) Range {
	s, known := l.boots[boot]
	if !known {
		return Range{}
	}
	return Range{First: s.begin(), Last: s.end()}
}

func (l *Log) sequence(boot string) *sequence {
	a, ok := l.boots[boot]
	if !ok {
		a = newSequence(boot)
		l.boots[boot] = a
		l.order = append(l.order, a)
	}
	return a
}
