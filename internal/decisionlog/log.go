// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package decisionlog

import (
	"io"

	"noderestriction.plus/internal/auditlog"
)

// Log is what was read from all inputs of an audit log, which may be in any order.
type Log struct{ *auditlog.Log }

// NewLog returns an empty Log, whose inputs have a format.
func NewLog(format auditlog.Format) *Log {
	log := auditlog.NewLog(format)
	log.Want = isOurs
	return &Log{Log: log}
}

// Read reads an input, as [auditlog.Log.Read] does, and calls a function with each event in which a policy
// decided, or that a webhook did not answer.
func (l *Log) Read(r io.Reader, each func(*Event) error) error {
	return l.Log.Read(r, func(e *auditlog.Event) error {
		if event := (decision{e}).event(); event != nil {
			return each(event)
		}
		return nil
	})
}
