// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// An API server pools its connections by Service, whichever replica they lead to, and never retries a POST once part of it was
// written. So each of its connections may bring a request until it is closed, and if it is closed while the request is in
// transit, a kubelet's write fails. While the server drains it answers every request with "Connection: close", so that the
// client closes the connection; those that remain have been idle since before. Once nothing arrives for a while, on them or on
// new ones, no client sends to this replica any more, and they can be closed. Closing them after a fixed time would drop requests
// that arrive late, because endpoints are removed late or an API server gets too little CPU.
const (
	// maxQuiet is how long nothing must arrive before the listener closes; half the shutdown delay if that is shorter.
	maxQuiet = 5 * time.Second
	// maxLinger is how long after the shutdown delay the listener closes even if requests arrive; twice the delay if that is
	// shorter. A pod's grace period has room for it, for drainTimeout and for the last records.
	maxLinger = 20 * time.Second
	// drainTimeout is for the requests in flight when the listener closes.
	drainTimeout = 15 * time.Second
	// drainInterval is how often arrivals are checked.
	drainInterval = 100 * time.Millisecond
)

// quiet measures how long nothing has arrived. It counts checks and not time: a process that gets too little CPU makes few
// checks, so it does not mistake requests that wait for it for silence.
type quiet struct {
	arrived uint64 // connections and requests at the latest check
	checks  int    // since then without an arrival
}

// check takes the number of arrivals so far. It must be called every drainInterval.
func (q *quiet) check(arrived uint64) {
	q.checks++
	if arrived != q.arrived {
		q.arrived, q.checks = arrived, 0
	}
}

// duration returns how long nothing has arrived.
func (q *quiet) duration() time.Duration { return time.Duration(q.checks) * drainInterval }

// drain makes the readiness check fail. It returns when the listener should close, which is after the delay once it is quiet, or
// when the server has failed.
func (s *Server) drain(failed context.Context) {
	s.draining.Store(true)
	began, delay := time.Now(), s.options.ShutdownDelay
	s.options.Log.Info("Draining", "delay", delay.String())
	silence, linger := min(maxQuiet, delay/2), min(maxLinger, 2*delay)
	tick := time.NewTicker(drainInterval)
	defer tick.Stop()
	lull := quiet{arrived: s.connections.arrivals()}
	for {
		elapsed, calm := time.Since(began), lull.duration() >= silence
		if elapsed >= delay && calm || elapsed >= delay+linger {
			s.options.Log.Info("Closing the listener", "after", elapsed.Round(time.Millisecond).String(), "quiet", calm)
			return
		}
		select {
		case <-tick.C:
		case <-failed.Done():
			return
		}
		lull.check(s.connections.arrivals())
	}
}

// shutdown stops listening, closes idle connections, and waits for the requests in flight. Their contexts are not cancelled:
// a kubelet's write whose evaluation has begun gets its answer and its record.
func (s *Server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were still in flight after %s: %w", drainTimeout, err), s.http.Close())
	}
	return nil
}

// closing makes clients open a new connection for their next request once the server drains; it may lead to another replica.
func (s *Server) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
