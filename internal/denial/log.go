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
	// ackTimeout is how long a write may wait for its record, in ackSteps steps: while this process is not running, as
	// when its CPU is throttled, the log cannot be blamed, and all that time passes in one step.
	ackTimeout = 50 * time.Millisecond
	ackSteps   = 5
	// queueLength bounds the records that wait for the writer, some 5 MB at worst.
	queueLength = 1024
	// retryInterval is how often a log that lost records tries to say so, which is also how it finds out that it works
	// again.
	retryInterval = time.Second
	// bootLength is the length of a boot id: 65 random bits.
	bootLength = 13
)

var (
	errSlow   = errors.New("a record was not written within 50 ms")
	errFull   = errors.New("too many records are waiting")
	errClosed = errors.New("the log is closed")
)

// denialLog numbers records and writes them in the order of their numbers, one goroutine for all. Nobody waits longer
// than ackTimeout for it, whatever the reader of the log does.
type denialLog struct {
	core    zapcore.Core
	boot    string
	queue   chan *entry
	stopped chan struct{} // closed when the writer has ended

	mu         sync.Mutex
	seq        uint64
	written    uint64
	lost       uint64
	unreported gap
	failure    error // why the latest record was not written; nil after one was
	closed     bool
	repeats    repeats
}

// entry is a record on its way to the writer.
type entry struct {
	rec     *record.Record // nil once abandoned
	compact bool
	state   state         // guarded by denialLog.mu
	done    chan struct{} // closed when the writer is done with it
}

type state int

const (
	queued    state = iota
	writing         // the writer has it and cannot be stopped
	written         // it is in the log
	failed          // the writer got an error
	abandoned       // nobody waits any more; the writer passes over it
)

func startLog(out io.Writer) *denialLog {
	l := &denialLog{
		core:    newCore(out),
		boot:    rand.Text()[:bootLength],
		queue:   make(chan *entry, queueLength),
		stopped: make(chan struct{}),
		repeats: newRepeats(),
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
	timer := time.NewTimer(ackTimeout / ackSteps)
	defer timer.Stop()
	for range ackSteps {
		select {
		case <-e.done:
			return l.settle(e)
		case <-timer.C:
			timer.Reset(ackTimeout / ackSteps)
		}
	}
	return l.settle(e)
}

// enqueue numbers the record. It returns nil if the record is lost already.
func (l *denialLog) enqueue(rec *record.Record) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.seq++
	rec.Time, rec.Boot, rec.Seq = record.Time(now), l.boot, l.seq
	if l.closed {
		l.lose(rec.Seq, errClosed)
		return nil
	}
	e := &entry{rec: rec, compact: l.repeats.count(rec.Fingerprint, now) > fullRecords, done: make(chan struct{})}
	select {
	case l.queue <- e:
		return e
	default:
		l.lose(rec.Seq, errFull)
		return nil
	}
}

// settle ends the wait for an entry. One that the writer has not begun with is abandoned; one that it is writing is
// neither written nor lost until the writer knows.
func (l *denialLog) settle(e *entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.state {
	case queued:
		l.lose(e.rec.Seq, errSlow)
		e.state, e.rec = abandoned, nil
	case writing:
		l.failure = errSlow
	}
	return e.state == written
}

// lose counts a record that will not be in the log. The caller holds mu.
func (l *denialLog) lose(seq uint64, cause error) {
	l.lost++
	l.unreported.add(gap{count: 1, first: seq, last: seq})
	l.failure = cause
}

// run is the writer.
func (l *denialLog) run() {
	defer close(l.stopped)
	for {
		var retry <-chan time.Time
		if l.hasUnreported() {
			retry = time.After(retryInterval)
		}
		select {
		case e, ok := <-l.queue:
			if !ok {
				l.reportLost()
				return
			}
			if l.write(e) {
				l.reportLost()
			}
		case <-retry:
			l.reportLost()
		}
	}
}

// write writes one entry and reports whether it did.
func (l *denialLog) write(e *entry) bool {
	l.mu.Lock()
	if e.state == abandoned {
		l.mu.Unlock()
		return false
	}
	e.state = writing
	l.mu.Unlock()

	err := writeRecord(l.core, e.rec, e.compact)

	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(e.done)
	if err != nil {
		e.state = failed
		l.lose(e.rec.Seq, err)
		return false
	}
	e.state = written
	l.written++
	l.failure = nil
	return true
}

func (l *denialLog) hasUnreported() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unreported.count > 0
}

// reportLost writes one line about all records lost since the last such line.
func (l *denialLog) reportLost() {
	l.mu.Lock()
	lost := l.unreported
	l.unreported = gap{}
	l.mu.Unlock()
	if lost.count == 0 {
		return
	}
	err := writeLost(l.core, l.boot, lost)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = err
	if err != nil {
		l.unreported.add(lost)
	}
}

func (l *denialLog) close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.mu.Unlock()
	select {
	case <-l.stopped:
	case <-ctx.Done():
		return fmt.Errorf("the denial log was not flushed: %w", ctx.Err())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// gap is a number of lost records and where they begin and end; others in between may have been written.
type gap struct{ count, first, last uint64 }

func (g *gap) add(other gap) {
	if g.count == 0 || other.first < g.first {
		g.first = other.first
	}
	g.last = max(g.last, other.last)
	g.count += other.count
}
