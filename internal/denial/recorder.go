// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package denial records the writes that violate policies. A [Recorder] writes each record to the denial log before the write
// is answered, and passes it to its sinks: counters, the status of policies, Events. Sinks never block and never replace
// the log.
package denial

import (
	"context"
	"fmt"
	"io"

	"noderestriction.plus/internal/record"
)

// Sink receives every record after the log has written or lost it. Observe must return immediately: it may count and remember
// a bounded amount, but not wait. It must not change the record. It is called concurrently.
type Sink interface {
	Observe(rec *record.Record)
}

// Recorder writes records to the denial log and passes them to sinks. It is safe for concurrent use.
type Recorder struct {
	log   *denialLog
	sinks []Sink
}

// New returns a Recorder whose log is written to out, one line per Write. It starts a goroutine that [Recorder.Close] ends.
func New(out io.Writer, sinks ...Sink) *Recorder {
	return &Recorder{log: startLog(out), sinks: sinks}
}

// Record sets the record's time, boot and seq, writes it and passes it to the sinks. It returns within 50 ms; written is
// false if the record is not in the log by then. Such a record may still be written within a second; after that it is
// lost, which leaves a gap in seq.
func (r *Recorder) Record(rec record.Record) (seq uint64, written bool) {
	written = r.log.record(&rec)
	for _, s := range r.sinks {
		s.Observe(&rec)
	}
	return rec.Seq, written
}

// Boot returns the random ID of this Recorder, which is in every record.
func (r *Recorder) Boot() string { return r.log.boot }

// Healthy returns nil if the log can be written, and an error with the reason otherwise. It recovers without a new
// record. It does not block.
func (r *Recorder) Healthy() error {
	_, lost, failure := r.log.state()
	if failure == nil {
		return nil
	}
	return fmt.Errorf("the denial log cannot be written, %d records lost: %w", lost, failure)
}

// Close writes what is queued and ends the log; later records are lost. It returns an error if ctx ends first or if the log
// cannot be written.
func (r *Recorder) Close(ctx context.Context) error {
	return r.log.close(ctx)
}
