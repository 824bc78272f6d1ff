// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"

	"noderestriction.plus/internal/record"
)

// maxStack is how much of a stack is logged, in bytes.
const maxStack = 8 << 10

// quietLog is a log that a sender cannot fill: of infos and of errors, ten at first and then one in ten seconds, and of
// each text 256 bytes.
type quietLog struct {
	log           logr.Logger
	infos, errors *rate.Sometimes
}

func newQuietLog(log logr.Logger) quietLog {
	sometimes := func() *rate.Sometimes { return &rate.Sometimes{First: 10, Interval: 10 * time.Second} }
	return quietLog{log: log, infos: sometimes(), errors: sometimes()}
}

func (l quietLog) info(msg string, keysAndValues ...any) {
	l.infos.Do(func() { l.log.Info(msg, bounded(keysAndValues)...) })
}

// panicked logs a panic with its stack.
func (l quietLog) panicked(msg, cause, stack string, keysAndValues ...any) {
	l.errors.Do(func() {
		values := append(bounded(keysAndValues), "cause", record.Bound(cause, record.MaxValue), "stack", stack[:min(len(stack), maxStack)])
		l.log.Error(nil, msg, values...)
	})
}

// bounded makes every text printable and bounds it.
func bounded(keysAndValues []any) []any {
	for i, value := range keysAndValues {
		if text, ok := value.(string); ok {
			keysAndValues[i] = record.Bound(text, record.MaxValue)
		}
	}
	return keysAndValues
}
