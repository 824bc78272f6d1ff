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

// An API server pools its connections by Service, whichever replica they lead to, and never sends a POST again of which
// something was written. So each of its connections may bring a request until it is closed, and one that is closed while
// the request is on its way makes a kubelet's write fail. While the server drains it answers every request with
// "Connection: close", so that the client gives up the connection by itself; those left are idle since before. When
// nothing has arrived for a while, on none of them and on no new one, nobody sends to this replica any more, and they
// can be closed. To close them all when a fixed time is over would meet a request whenever that time is too short: with
// endpoints that are removed late, or an API server that is starved.
const (
	// maxQuiet is for how long nothing arrives before the listener closes; half the shutdown delay if that is shorter.
	maxQuiet = 5 * time.Second
	// maxLinger is how long after the shutdown delay the listener closes though requests arrive; twice the delay if that
	// is shorter. A Pod's grace period has room for it, for drainTimeout and for the last records.
	maxLinger = 20 * time.Second
	// drainTimeout is for the requests in flight when the listener closes.
	drainTimeout = 15 * time.Second
	// drainInterval is how often it is looked whether something has arrived.
	drainInterval = 100 * time.Millisecond
)

// drain lets the readiness check fail, and returns when the listener should close or the server has failed: after the
// delay, once it is quiet.
func (s *Server) drain(failed context.Context) {
	s.draining.Store(true)
	began, delay := time.Now(), s.options.ShutdownDelay
	s.options.Log.Info("draining", "delay", delay.String())
	quiet, linger := min(maxQuiet, delay/2), min(maxLinger, 2*delay)
	tick := time.NewTicker(drainInterval)
	defer tick.Stop()
	// What is quiet is counted in looks, of which a process that gets no time takes few: requests that wait for it are
	// not mistaken for silence.
	arrived, looks := s.connections.arrivals(), time.Duration(0)
	for {
		elapsed, calm := time.Since(began), looks*drainInterval >= quiet
		if elapsed >= delay && calm || elapsed >= delay+linger {
			s.options.Log.Info("closing", "after", elapsed.Round(time.Millisecond).String(), "quiet", calm)
			return
		}
		select {
		case <-tick.C:
		case <-failed.Done():
			return
		}
		looks++
		if now := s.connections.arrivals(); now != arrived {
			arrived, looks = now, 0
		}
	}
}

// shutdown stops listening, closes the connections that are idle, and waits for the requests in flight. Their contexts
// are not cancelled: a kubelet's write that was begun to be judged gets its answer and its record.
func (s *Server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were still in flight after %s: %w", drainTimeout, err), s.http.Close())
	}
	return nil
}

// closing tells clients, once the server drains, to open a new connection for their next request, which may lead to
// another replica.
func (s *Server) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
