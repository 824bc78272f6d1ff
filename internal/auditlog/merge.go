// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"
)

// Input is a part of an audit log.
type Input struct {
	Name string
	// Open opens the input. Unless it is the only one, it is opened twice.
	Open func() (io.ReadCloser, error)
}

// ahead is how long before its first event an input is opened, so that events that are logged late are in order.
const ahead = time.Minute

// ReadMerged reads inputs, each in the order of time, and calls a function with their wanted events in the order of time. The
// events of an input keep their order. Only inputs with events at about the same time are open together. Errors name the input.
func (l *Log) ReadMerged(inputs []Input, each func(*Event) error) error {
	m := &merger{log: l}
	defer m.close()
	for _, in := range inputs {
		s := &stream{input: in}
		if len(inputs) > 1 {
			first, err := l.firstOf(in)
			if err != nil {
				return err
			}
			s.from = first
		}
		m.closed = append(m.closed, s)
	}
	slices.SortStableFunc(m.closed, func(a, b *stream) int { return a.from.Compare(b.from) })
	for {
		e, err := m.next()
		if e == nil || err != nil {
			return err
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

// timeOf returns when an event was logged.
func timeOf(e *Event) time.Time {
	if e.Logged.IsZero() {
		return e.Received
	}
	return e.Logged
}

var errStop = errors.New("stop")

// firstOf returns the time of the first wanted event of an input, and zero if it has none.
func (l *Log) firstOf(in Input) (first time.Time, err error) {
	f, err := in.Open()
	if err != nil {
		return first, err
	}
	defer f.Close()
	own := NewLog(l.format)
	own.Want, own.KeepCut = l.Want, l.KeepCut
	err = own.Read(f, func(e *Event) error {
		first = timeOf(e)
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	if err != nil {
		return first, fmt.Errorf("%s: %w", in.Name, err)
	}
	return first, nil
}

// stream is an input that is read event by event.
type stream struct {
	input Input
	from  time.Time // of its first event
	file  io.ReadCloser
	next  func() (*Event, error, bool)
	stop  func()
	head  *Event // nil: it has ended
}

// merger merges streams.
type merger struct {
	log    *Log
	closed []*stream // in the order of their beginnings
	open   []*stream
}

func (m *merger) close() {
	for _, s := range m.open {
		s.close()
	}
}

func (s *stream) close() {
	s.stop()
	_ = s.file.Close()
}

// next returns the earliest event, and nil at the end of all inputs.
func (m *merger) next() (*Event, error) {
	for {
		earliest := m.earliest()
		if len(m.closed) == 0 || earliest != nil && m.closed[0].from.After(timeOf(earliest.head).Add(ahead)) {
			if earliest == nil {
				return nil, nil
			}
			e := earliest.head
			return e, m.advance(earliest)
		}
		s := m.closed[0]
		m.closed = m.closed[1:]
		if err := m.start(s); err != nil {
			return nil, err
		}
	}
}

func (m *merger) earliest() *stream {
	var found *stream
	for _, s := range m.open {
		if found == nil || timeOf(s.head).Before(timeOf(found.head)) {
			found = s
		}
	}
	return found
}

// start opens a stream.
func (m *merger) start(s *stream) error {
	f, err := s.input.Open()
	if err != nil {
		return err
	}
	s.file = f
	s.next, s.stop = iter.Pull2(func(yield func(*Event, error) bool) {
		err := m.log.Read(f, func(e *Event) error {
			if !yield(e, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, fmt.Errorf("%s: %w", s.input.Name, err))
		}
	})
	m.open = append(m.open, s)
	return m.advance(s)
}

// advance reads the next event of a stream, and closes it at its end.
func (m *merger) advance(s *stream) error {
	e, err, ok := s.next()
	if err != nil {
		return err
	}
	if ok {
		s.head = e
		return nil
	}
	m.open = slices.DeleteFunc(m.open, func(other *stream) bool { return other == s })
	s.close()
	return nil
}
