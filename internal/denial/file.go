// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"context"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/natefinch/lumberjack.v2"

	"noderestriction.plus/internal/faultlog"
	"noderestriction.plus/internal/record"
)

// maxFileQueue is the maximum number of records that wait to be written to the file.
const maxFileQueue = 4096

// FileOptions says where a [File] writes and how much it keeps.
type FileOptions struct {
	Path       string
	MaxSizeMiB int // a file is rotated before it exceeds this size; at least 1
	MaxBackups int // rotated files to keep besides the current one; at least 1
}

// File is a second copy of the records in a rotated file, always in full. It is a [Sink]: it never blocks, and records that it
// cannot write are dropped and counted.
type File struct {
	faults  *faultlog.Log
	out     *lumberjack.Logger
	queue   chan *record.Record
	closing chan struct{}
	stopped chan struct{}
	dropped prometheus.Counter
}

// OpenFile opens the file for appending, creates it if necessary, and starts a goroutine that [File.Close] ends. It
// returns an error if the file cannot be opened. Its metrics are registered with reg.
func OpenFile(o FileOptions, reg prometheus.Registerer, log logr.Logger) (*File, error) {
	probe, err := os.OpenFile(o.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := probe.Close(); err != nil {
		return nil, err
	}
	f := &File{
		faults: faultlog.New(log),
		out: &lumberjack.Logger{
			Filename: o.Path, MaxSize: o.MaxSizeMiB, MaxBackups: o.MaxBackups,
		},
		queue:   make(chan *record.Record, maxFileQueue),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "node_restriction_plus_file_records_dropped_total",
			Help: "Records that are not in the file of --denial-log-file. They are still in the denial log, " +
				"unless that lost them too.",
		}),
	}
	reg.MustRegister(f.dropped)
	go f.run()
	return f, nil
}

// Observe queues a record.
func (f *File) Observe(rec *record.Record) {
	select {
	case f.queue <- rec:
	default:
		f.dropped.Inc()
	}
}

func (f *File) run() {
	defer close(f.stopped)
	core := newCore(f.out)
	write := func(rec *record.Record) {
		err := writeRecord(core, rec, full)
		if err != nil {
			f.dropped.Inc()
		}
		f.faults.Report("Cannot write records to the file", err, "file", f.out.Filename)
	}
	for {
		select {
		case rec := <-f.queue:
			write(rec)
		case <-f.closing:
			for {
				select {
				case rec := <-f.queue:
					write(rec)
				default:
					return
				}
			}
		}
	}
}

// Close writes what is queued and closes the file. Later records are dropped. It must be called once. If ctx ends first, it
// returns an error.
func (f *File) Close(ctx context.Context) error {
	close(f.closing)
	select {
	case <-f.stopped:
		return f.out.Close()
	case <-ctx.Done():
		return fmt.Errorf("the file of records was not flushed: %w", ctx.Err())
	}
}
