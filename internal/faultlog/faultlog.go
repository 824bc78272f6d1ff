// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package faultlog logs a fault that persists once: when it begins or its cause changes, and when it ends. What is retried every
// second would otherwise fill the log.
package faultlog

import (
	"sync"

	"github.com/go-logr/logr"
)

// Log logs the faults of one component. It is safe for concurrent use.
type Log struct {
	log logr.Logger

	mu   sync.Mutex
	last map[string]string // the text of each fault's latest error, empty after a success
}

// New returns a Log that writes to log.
func New(log logr.Logger) *Log { return &Log{log: log, last: map[string]string{}} }

// Report logs the result of one attempt, err or nil. It logs an error with the message fault unless the previous error of the same
// fault had the same text, and the first success after an error with the message "Recovered". There must be few faults: each is
// remembered.
func (l *Log) Report(fault string, err error, keysAndValues ...any) {
	known, changed := l.record(fault, err)
	switch {
	case !changed:
	case err != nil:
		l.log.Error(err, fault, keysAndValues...)
	case known:
		l.log.Info("Recovered", append([]any{"from", fault}, keysAndValues...)...)
	}
}

// Changed is Report for a caller that logs in its own words: it reports whether the result differs from the previous one of the
// same fault. The first result always does.
func (l *Log) Changed(fault string, err error) bool {
	_, changed := l.record(fault, err)
	return changed
}

// record reports whether there was a result before, and whether this one differs from it.
func (l *Log) record(fault string, err error) (known, changed bool) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.last[fault]
	l.last[fault] = text
	return known, !known || text != last
}
