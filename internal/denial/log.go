// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"

	"noderestriction.plus/internal/record"
)

const (
	// ackTimeout is how long an answer waits for its record.
	ackTimeout = 50 * time.Millisecond
	// patience is how long a record may wait to be written, whether or not its answer still waits. It is longer than
	// ackTimeout because on a machine without free CPU the writer may be delayed that long, and a slightly late record
	// is better than no record.
	patience = time.Second
	// maxWaiting is the maximum number of records that wait to be written, about 5 MB.
	maxWaiting = 1024
	// retryInterval is how often a log that has lost records tries to report that, which is also how it detects that it can be
	// written again.
	retryInterval = time.Second
	// bootLength is the length of a boot ID: 65 random bits.
	bootLength = 13
)

var (
	errSlow   = errors.New("a record was not written within 50 ms")
	errFull   = errors.New("too many records are waiting")
	errClosed = errors.New("the log is closed")
)

// denialLog numbers records, and one goroutine writes them in that order. No caller waits for it longer than ackTimeout,
// whatever the reader of the log does. Each record is eventually either written or lost, never both.
type denialLog struct {
	core    zapcore.Core
	boot    string
	wake    chan struct{} // has an element if the writer has something to do
	stopped chan struct{} // closed once the writer has ended

	mu         sync.Mutex
	seq        uint64
	waiting    []*entry // in the order of their numbers
	written    uint64
	lost       uint64
	unreported gap
	failure    error // why the latest record was not written in time; nil after one was
	closed     bool
	forms      forms // used by the writer only
}

// entry is a record on its way to the writer.
type entry struct {
	rec   *record.Record
	at    time.Time
	state state         // guarded by denialLog.mu
	done  chan struct{} // closed once it is no longer pending
}

type state int

const (
	pending state = iota
	written
	lost
)

// settle ends the wait for an entry. The caller holds the log's mu.
func (e *entry) settle(s state) {
	e.state = s
	close(e.done)
}

func startLog(out io.Writer) *denialLog {
	l := &denialLog{
		core:    newCore(out),
		boot:    rand.Text()[:bootLength],
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
		forms:   newForms(),
	}
	go l.run()
	return l
}

// record writes the record and reports whether it is in the log.
func (l *denialLog) record(rec *record.Record) bool {
	e := l.enqueue(rec)
	if e == nil {
		return false
	}
	timer := time.NewTimer(ackTimeout)
	defer timer.Stop()
	select {
	case <-e.done:
	case <-timer.C:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.state == pending && l.failure == nil {
		l.failure = errSlow // until a record is written
	}
	return e.state == written
}

// enqueue numbers the record. It returns nil if the record is already lost.
func (l *denialLog) enqueue(rec *record.Record) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.seq++
	rec.Time, rec.Boot, rec.Seq = record.Time(now), l.boot, l.seq
	l.expire(now)
	switch {
	case l.closed:
		l.lose(rec, errClosed)
		return nil
	case len(l.waiting) == maxWaiting:
		l.lose(rec, errFull)
		return nil
	}
	e := &entry{
		rec: rec, at: now, done: make(chan struct{}),
	}
	l.waiting = append(l.waiting, e)
	l.wakeWriter()
	return e
}

func (l *denialLog) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

// expire drops records that have waited too long. The caller holds mu.
func (l *denialLog) expire(now time.Time) {
	for len(l.waiting) > 0 && now.Sub(l.waiting[0].at) >= patience {
		e := l.pop()
		l.lose(e.rec, errSlow)
		e.settle(lost)
	}
}

// pop removes the record that has waited longest. The caller holds mu.
func (l *denialLog) pop() *entry {
	e := l.waiting[0]
	l.waiting[0] = nil // for the garbage collector
	l.waiting = l.waiting[1:]
	return e
}

// lose counts a record that will not be in the log. The caller holds mu.
func (l *denialLog) lose(rec *record.Record, cause error) {
	l.lost++
	l.unreported.add(gap{count: 1, first: rec.Seq, last: rec.Seq})
	l.failure = cause
}

// run is the writer.
func (l *denialLog) run() {
	defer close(l.stopped)
	for {
		e, more := l.next()
		switch {
		case e != nil:
			if l.write(e) {
				l.reportLost()
			}
		case more:
			l.rest()
		default:
			l.reportLost()
			return
		}
	}
}

// next removes the next record to write. It returns nil if no record waits, and false if none will.
func (l *denialLog) next() (e *entry, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(time.Now())
	if len(l.waiting) == 0 {
		return nil, !l.closed
	}
	return l.pop(), true
}

// rest waits for something to do, and reports lost records at intervals.
func (l *denialLog) rest() {
	l.mu.Lock()
	var retry <-chan time.Time
	if l.unreported.count > 0 {
		retry = time.After(retryInterval)
	}
	l.mu.Unlock()
	select {
	case <-l.wake:
	case <-retry:
		l.reportLost()
	}
}

// write writes one record and reports whether that succeeded.
func (l *denialLog) write(e *entry) bool {
	as := l.forms.of(e.rec, e.at)
	err := writeRecord(l.core, e.rec, as)
	if err == nil {
		l.forms.wrote(e.rec, as, e.at)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.lose(e.rec, err)
		e.settle(lost)
		return false
	}
	l.written++
	l.failure = nil
	e.settle(written)
	return true
}

// reportLost writes one line about all records lost since the last such line.
func (l *denialLog) reportLost() {
	l.mu.Lock()
	missing := l.unreported
	l.unreported = gap{}
	l.mu.Unlock()
	if missing.count == 0 {
		return
	}
	err := writeLost(l.core, l.boot, missing)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = err
	if err != nil {
		l.unreported.add(missing)
	}
}

// state returns how many records were written and lost, and why the latest was not written in time.
func (l *denialLog) state() (written, lost uint64, failure error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(time.Now())
	return l.written, l.lost, l.failure
}

func (l *denialLog) close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wakeWriter()
	select {
	case <-l.stopped:
	case <-ctx.Done():
		return fmt.Errorf("the denial log was not flushed: %w", ctx.Err())
	}
	_, _, failure := l.state()
	return failure
}

// gap is a number of lost records, and the first and last of them; others in between may have been written.
type gap struct{ count, first, last uint64 }

func (g *gap) add(other gap) {
	if g.count == 0 || other.first < g.first {
		g.first = other.first
	}
	g.last = max(g.last, other.last)
	g.count += other.count
}
