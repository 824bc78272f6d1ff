// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"noderestriction.plus/internal/input"
)

const (
	// MaxEntry is the size of the longest entry that is read, in bytes. A request has at most 3 MiB, and its event has it at most three
	// times.
	MaxEntry = 16 << 20
	// maxSeen is how many events are remembered, to detect those that are read again.
	maxSeen = 1 << 22
)

// tooLong is the problem of an entry that is longer than [MaxEntry].
type tooLong struct{}

func (tooLong) Error() string { return fmt.Sprintf("is longer than %d MiB", MaxEntry>>20) }

// Log reads the audit logs of a cluster: any number of inputs, in any order.
type Log struct {
	// Want says which events are wanted. Nil: all of them.
	Want func(*Event) bool

	// KeepCut says that what is left of cut events is wanted, too, if it says what the request was. They count as unreadable.
	KeepCut bool

	// Entries is how many lines, or elements of lists, were read. Each of them is an event, of something else, or unreadable.
	Entries, Events, Others, Unreadable int
	// Cut is how many of the unreadable ones end too early. Log services cut long events.
	Cut int
	// Repeated is how many wanted events were read before, and left out.
	Repeated int
	// First and Last are when the first and the last of all events began. Zero: no event says so.
	First, Last time.Time
	// Spans are, for each input in which events say so, when they were written.
	Spans []Span

	format Format
	seed   maphash.Seed
	seen   map[uint64]struct{}
	span   Span // of the input that is being read
}

// Span is when the first and the last of some events were written.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// extend makes a span contain a time. An unknown time changes nothing.
func (s *Span) extend(at time.Time) {
	if at.IsZero() {
		return
	}
	if s.From.IsZero() || at.Before(s.From) {
		s.From = at
	}
	if at.After(s.To) {
		s.To = at
	}
}

// NewLog returns an empty log, whose inputs have a format.
func NewLog(format Format) *Log {
	return &Log{format: format, seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
}

// Read reads an input and calls a function with each wanted event that was not read before. It stops at an error of the function or of the
// input. Entries that cannot be read are counted; if all are like that, the error names the first one. An input is lines or a JSON
// document of lists, and may be compressed or in another encoding, as package input says.
func (l *Log) Read(r io.Reader, each func(*Event) error) error {
	in, err := input.NewReader(r)
	if err != nil {
		return err
	}
	s := &source{log: l, each: each, in: bufio.NewReaderSize(in, 64<<10)}
	read := l.Events + l.Others
	l.span = Span{}
	if s.isDocument() {
		err = s.readDocument()
	} else {
		err = s.readLines()
	}
	if !l.span.From.IsZero() {
		l.Spans = append(l.Spans, l.span)
	}
	if err == nil && s.problem != nil && l.Events+l.Others == read {
		return s.problem
	}
	return err
}

// add adds an event. The data is all of it, as it was stored.
func (l *Log) add(e *Event, data []byte, each func(*Event) error) error {
	l.Entries++
	l.Events++
	began := Span{l.First, l.Last}
	began.extend(e.Received)
	l.First, l.Last = began.From, began.To
	if e.Logged.IsZero() {
		l.span.extend(e.Received)
	} else {
		l.span.extend(e.Logged)
	}
	return l.give(e, data, each)
}

// give calls a function with an event if it is wanted and was not read before.
func (l *Log) give(e *Event, data []byte, each func(*Event) error) error {
	if l.Want != nil && !l.Want(e) {
		return nil
	}
	sum := maphash.Bytes(l.seed, data)
	if _, known := l.seen[sum]; known {
		l.Repeated++
		return nil
	}
	if len(l.seen) < maxSeen {
		l.seen[sum] = struct{}{}
	}
	return each(e)
}

// source is one input.
type source struct {
	log     *Log
	each    func(*Event) error
	in      *bufio.Reader
	line    int               // the number of the line, from 1; 0 in a document
	decoder *jsontext.Decoder // of a document
	problem error             // the first entry that cannot be read
	time    time.Time         // of the last event that was read
}

// unreadable counts an entry that cannot be read.
func (s *source) unreadable(data []byte, problem error) {
	s.log.Entries++
	s.log.Unreadable++
	// CloudWatch ends a message that it has cut in this way, and others just end.
	if isCut(data, problem) {
		s.log.Cut++
		problem = errors.New("is cut")
	}
	if s.problem == nil {
		s.problem = s.at(problem)
	}
}

// isCut reports whether an entry ends too early.
func isCut(data []byte, problem error) bool {
	return errors.Is(problem, io.ErrUnexpectedEOF) || bytes.HasSuffix(bytes.TrimSpace(data), []byte("[Truncated...]"))
}

// at says where a problem is.
func (s *source) at(problem error) error {
	if s.decoder != nil {
		return fmt.Errorf("no event can be read: what follows byte %d %w", s.decoder.InputOffset(), problem)
	}
	return fmt.Errorf("no event can be read: line %d %w", s.line, problem)
}

// isDocument reports whether the input is a JSON document over several lines, or begins with a list. Anything else is read line by line,
// so that a line that is no JSON does not hide the others.
func (s *source) isDocument() bool {
	n := 0
	next := func(blank string) byte {
		for {
			n++
			ahead, _ := s.in.Peek(n)
			if len(ahead) < n {
				return 0
			}
			if c := ahead[n-1]; bytes.IndexByte([]byte(blank), c) < 0 {
				return c
			}
		}
	}
	switch next(" \t\r\n") {
	case '[':
		c := next(" \t\r\n")
		return c == '{' || c == '[' || c == ']'
	case '{':
		return next(" \t\r") == '\n'
	}
	return false
}

func (s *source) readLines() error {
	var long []byte
	for {
		line, whole, err := readLine(s.in, &long)
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		s.line++
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
		case !whole:
			s.unreadable(nil, tooLong{})
		default:
			if err := s.text(line, false); err != nil {
				return err
			}
		}
	}
}

// readLine returns the next line, valid until the next call, and whether that is all of it.
func readLine(r *bufio.Reader, long *[]byte) (line []byte, whole bool, err error) {
	line, err = r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, true, err
	}
	*long = append((*long)[:0], line...)
	whole = true
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = r.ReadSlice('\n')
		if whole = whole && len(*long)+len(line) <= MaxEntry; whole {
			*long = append(*long, line...)
		}
	}
	return *long, whole, err
}

// text reads a text: JSON, which the name of a host, a time or another text may precede. Firehose writes several values into a line.
func (s *source) text(line []byte, inside bool) error {
	isList := len(line) > 1 && line[0] == '[' && (line[1] == '{' || line[1] == ']')
	if begin := bytes.IndexByte(line, '{'); begin < 0 && !isList {
		s.unreadable(line, errors.New("is not JSON"))
		return nil
	} else if !isList {
		line = line[begin:]
	}
	if !bytes.Contains(line, []byte("}{")) {
		return s.entry(line, inside, 0)
	}
	d := jsontext.NewDecoder(bytes.NewReader(line), lenient())
	for {
		value, err := d.ReadValue()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			s.unreadable(line, problemOf(err))
			return nil
		}
		if err := s.entry(value, inside, 0); err != nil {
			return err
		}
	}
}

// readDocument reads JSON values, which may be lists of any length, with one entry in memory at a time.
func (s *source) readDocument() error {
	b := &bounded{r: s.in, left: MaxEntry}
	s.decoder = jsontext.NewDecoder(b, lenient())
	var stop error
	err := func() error {
		for {
			var err error
			switch s.decoder.PeekKind() {
			case '[':
				stop, err = s.readList(b)
			case '{':
				stop, err = s.readObject(b)
			default:
				_, err = s.decoder.ReadToken()
			}
			if err != nil || stop != nil {
				return err
			}
		}
	}()
	switch {
	case stop != nil:
		return stop
	case b.failed != nil:
		return b.failed
	case errors.Is(err, io.ErrUnexpectedEOF):
		s.unreadable(nil, err)
		return nil
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, tooLong{}):
		err = tooLong{}
	default:
		err = errors.New("is not JSON")
	}
	s.unreadable(nil, err)
	return fmt.Errorf("what follows byte %d %w; the rest is not read", s.decoder.InputOffset(), err)
}

// readList reads the elements of a list. It also returns what stopped it.
func (s *source) readList(b *bounded) (stop, err error) {
	if _, err := s.decoder.ReadToken(); err != nil {
		return nil, err
	}
	for s.decoder.PeekKind() != ']' {
		value, err := s.decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		if stop := s.entry(value, false, 1); stop != nil {
			return stop, nil
		}
		b.left = MaxEntry
	}
	_, err = s.decoder.ReadToken()
	return nil, err
}

// readObject reads an object: what has a list, or an entry.
func (s *source) readObject(b *bounded) (stop, err error) {
	if _, err := s.decoder.ReadToken(); err != nil {
		return nil, err
	}
	entry, hasList := []byte{'{'}, false
	for s.decoder.PeekKind() != '}' {
		name, err := s.decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		if isList(name) && s.decoder.PeekKind() == '[' {
			hasList = true
			if stop, err := s.readList(b); stop != nil || err != nil {
				return stop, err
			}
			continue
		}
		if len(entry) > 1 {
			entry = append(entry, ',')
		}
		entry = append(append(entry, name...), ':')
		value, err := s.decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		entry = append(entry, value...)
	}
	if _, err := s.decoder.ReadToken(); err != nil {
		return nil, err
	}
	b.left = MaxEntry
	if hasList {
		return nil, nil
	}
	return s.entry(append(entry, '}'), false, 0), nil
}

// bounded is a reader that fails if more is read than what is left.
type bounded struct {
	r      io.Reader
	left   int
	failed error // of r
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, tooLong{}
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed = err
	}
	return n, err
}
