// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package decisionlog

import (
	"bufio"
	"bytes"
	"errors"
	"hash/maphash"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"noderestriction.plus/internal/input"
)

const (
	// maxLine is the maximum length of an event, in bytes. A request has at most 3 MiB, and its event has it at most three times.
	maxLine = 16 << 20
	// maxSeen is how many lines are remembered, to detect those that were read twice.
	maxSeen = 1 << 22
)

// Log is what was read from all inputs of an audit log, which may be in any order.
type Log struct {
	Lines      int // that are not empty
	Events     int // lines that are events
	Repeated   int // events that were read again, and are left out
	Unreadable int // lines that are no JSON, or too long

	seed maphash.Seed
	seen map[uint64]struct{}
}

// NewLog returns an empty Log.
func NewLog() *Log { return &Log{seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}} }

// Read reads an input, and calls a function with each event in which a policy decided. It stops at an error of the function, and of the
// input.
func (l *Log) Read(r io.Reader, each func(*Event) error) error {
	text, err := input.NewReader(r)
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(text, 64<<10)
	var long []byte
	for ended := false; !ended; {
		line, whole, err := readLine(lines, &long)
		if ended = errors.Is(err, io.EOF); err != nil && !ended {
			return err
		}
		if len(line) == 0 {
			continue
		}
		if event := l.add(line, whole); event != nil {
			if err := each(event); err != nil {
				return err
			}
		}
	}
	return nil
}

// readLine reads a line without its end, and reports whether that is all of it.
func readLine(r *bufio.Reader, long *[]byte) (line []byte, whole bool, err error) {
	line, err = r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return bytes.TrimSpace(line), true, err
	}
	*long = append((*long)[:0], line...)
	whole = true
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = r.ReadSlice('\n')
		if whole = whole && len(*long)+len(line) <= maxLine; whole {
			*long = append(*long, line...)
		}
	}
	return bytes.TrimSpace(*long), whole, err
}

// add adds a line, and returns its event if a policy decided there and the line is new.
func (l *Log) add(line []byte, whole bool) *Event {
	l.Lines++
	switch {
	case !whole:
		l.Unreadable++
		return nil
	case !bytes.Contains(line, []byte(decisionKey+`"`)):
		// Most events have no decision. What an object says is quoted.
		if bytes.Contains(line, []byte(`"audit.k8s.io/`)) {
			l.Events++
		}
		return nil
	}
	var w wire
	// An object in the event may be as its client wrote it.
	if err := json.Unmarshal(line, &w, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		l.Unreadable++
		return nil
	}
	if !w.isEvent() {
		return nil
	}
	l.Events++
	event := w.event()
	if event == nil {
		return nil
	}
	sum := maphash.Bytes(l.seed, line)
	if _, known := l.seen[sum]; known {
		l.Repeated++
		return nil
	}
	if len(l.seen) < maxSeen {
		l.seen[sum] = struct{}{}
	}
	return event
}
