// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package denial keeps account of the writes that violate policies. A [Ledger] writes each record to the denial log
// before the write is answered, and tells its sinks: counters, the policies' status. Sinks never block and never take
// the place of the log.
package denial

import (
	"context"
	"fmt"
	"io"

	"noderestriction.plus/internal/record"
)

// Sink learns of every record after the log has written it or has failed to. Observe must return at once: it may count
// and it may remember a bounded amount, but not wait for anybody. It must not change the record. It is called by many
// goroutines.
type Sink interface {
	Observe(rec *record.Record)
}

// Ledger writes records and fans them out. It is safe for concurrent use.
type Ledger struct {
	log   *denialLog
	sinks []Sink
}

// New returns a Ledger whose log goes to out, a line a Write. It starts a goroutine that [Ledger.Close] ends.
func New(out io.Writer, sinks ...Sink) *Ledger {
	return &Ledger{log: startLog(out), sinks: sinks}
}

// Record gives the record its time, boot and seq, writes it and tells the sinks. It returns within 50 ms, and written
// is false if the record is not in the log by then. Such a record may still be written within a second; after that it
// is lost, which leaves a gap in seq.
func (l *Ledger) Record(rec record.Record) (seq uint64, written bool) {
	written = l.log.record(&rec)
	for _, s := range l.sinks {
		s.Observe(&rec)
	}
	return rec.Seq, written
}

// Boot is the random id of this Ledger, which is in every record.
func (l *Ledger) Boot() string { return l.log.boot }

// Healthy returns nil if the log can be written, and otherwise an error that says why not. It recovers by itself,
// without a new record. It does not block.
func (l *Ledger) Healthy() error {
	_, lost, failure := l.log.standing()
	if failure == nil {
		return nil
	}
	return fmt.Errorf("the denial log cannot be written, %d records lost: %w", lost, failure)
}

// Close writes what is queued and ends the log; records that come later are lost. If ctx ends first, or the log cannot
// be written, it returns an error.
func (l *Ledger) Close(ctx context.Context) error {
	return l.log.close(ctx)
}
