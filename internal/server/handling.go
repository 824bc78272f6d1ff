// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// stuckAfter is how long after its deadline a request that is still being handled makes the replica not ready: no request
// takes that long to evaluate, so the handler hangs and its slot is lost.
const stuckAfter = 10 * time.Second

// handling is the list of the requests that are being handled, in the order in which they arrived.
type handling struct {
	mu             sync.Mutex
	oldest, newest *body
}

// begin adds a request.
func (h *handling) begin(b *body) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b.older = h.newest; b.older != nil {
		b.older.newer = b
	} else {
		h.oldest = b
	}
	h.newest = b
}

// end removes a request.
func (h *handling) end(b *body) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b.older != nil {
		b.older.newer = b.newer
	} else {
		h.oldest = b.newer
	}
	if b.newer != nil {
		b.newer.older = b.older
	} else {
		h.newest = b.older
	}
	b.older, b.newer = nil, nil
}

// age returns how long the oldest request has been handled, 0 without requests.
func (h *handling) age(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.oldest == nil {
		return 0
	}
	return now.Sub(h.oldest.due.Arrived())
}

// overdue returns the longest time that a request has been handled beyond its deadline, 0 without such a request. It checks each
// request: one with a long timeout may be older than one that is stuck.
func (h *handling) overdue(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var most time.Duration
	for b := h.oldest; b != nil; b = b.newer {
		most = max(most, now.Sub(b.due.Due()))
	}
	return most
}

// CheckRequests is a readiness check: it fails while a request is handled for much longer than its sender waits.
func (s *Server) CheckRequests(*http.Request) error {
	if overdue := s.handling.overdue(time.Now()); overdue > stuckAfter {
		return fmt.Errorf("a request is still being handled %s after its deadline", overdue.Round(time.Second))
	}
	return nil
}
