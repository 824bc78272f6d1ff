// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"hash/maphash"
	"time"
)

// maxOpen is how many requests are remembered whose answer has begun and not ended.
const maxOpen = 1 << 16

// Answers tells which events are the first ones with an answer to their request: a long-running request has an event when its answer
// begins, and another one when it ends.
type Answers struct {
	seed maphash.Seed
	open map[uint64]struct{} // requests whose answer has begun
}

// NewAnswers returns an empty Answers.
func NewAnswers() *Answers { return &Answers{seed: maphash.MakeSeed(), open: map[uint64]struct{}{}} }

// IsFirst reports whether an event is the first one with an answer to its request. It must be called with the events of a log in order.
func (a *Answers) IsFirst(e *Event) bool {
	switch e.Stage {
	case ResponseStarted:
		if len(a.open) == maxOpen {
			clear(a.open)
		}
		a.open[a.key(e)] = struct{}{}
		return true
	case ResponseComplete, Panic:
		key := a.key(e)
		_, begun := a.open[key]
		delete(a.open, key)
		return !begun
	}
	return false
}

// key identifies a request. A client chooses the audit ID, and could hide a request behind another one with the same ID.
func (a *Answers) key(e *Event) uint64 {
	return maphash.Comparable(a.seed, [5]string{e.AuditID, e.User.Username, e.Verb, e.RequestURI, e.Received.Format(time.RFC3339Nano)})
}
