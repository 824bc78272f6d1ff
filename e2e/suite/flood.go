// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Expectation is a request and the outcome that it must have.
type Expectation struct {
	Request Request
	Want    Outcome
}

// Flood is a kubelet that writes from several connections while the API server opens new connections to the product twice a
// second.
type Flood struct {
	stop          func()
	tolerateLate  bool
	restore       func(context.Context) error
	mu            sync.Mutex
	writes        int
	late          int            // answers that came too late
	failed        map[string]int // by answer
	reconnections int
}

// FloodOptions configure a [Flood].
type FloodOptions struct {
	Kubelet      *Client
	Interval     time.Duration // between two writes of one connection
	Expectations []Expectation // one for each connection
	// TolerateLate leaves the timeouts of the webhooks unchanged and does not count answers that come too late as failures. If it
	// is not set, the timeouts are 10 s until the flood ends: writes fail because of certificates, not of a busy machine.
	TolerateLate bool
}

// StartFlood starts a flood, which ends with the test at the latest.
func (s *Suite) StartFlood(t testing.TB, o FloodOptions) *Flood {
	t.Helper()
	f := &Flood{tolerateLate: o.TolerateLate, failed: map[string]int{}, restore: func(context.Context) error { return nil }}
	if !o.TolerateLate {
		var err error
		f.restore, err = s.RaiseTimeouts(t.Context(), 10)
		Check(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	f.stop = func() {
		cancel()
		group.Wait()
	}
	t.Cleanup(f.stop)
	for _, e := range o.Expectations {
		group.Go(func() {
			for tick := time.NewTicker(o.Interval); ctx.Err() == nil; <-tick.C {
				f.add(o.Kubelet.Do(context.WithoutCancel(ctx), e.Request), e.Want)
			}
		})
	}
	group.Go(func() {
		for tick := time.NewTicker(500 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			if err := s.Reconnect(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("cannot make the API server reconnect: %v", err)
			}
			f.mu.Lock()
			f.reconnections++
			f.mu.Unlock()
		}
	})
	return f
}

func (f *Flood) add(a Answer, want Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	switch {
	case a.Outcome == want:
	case f.tolerateLate && strings.Contains(a.Text, "deadline exceeded"):
		f.late++
	default:
		f.failed[fmt.Sprintf("%s, want %s: %s", a.Outcome, want, a.Text)]++
	}
}

// AwaitReconnections waits until the API server has reconnected n more times.
func (f *Flood) AwaitReconnections(t testing.TB, n int) {
	t.Helper()
	count := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.reconnections
	}
	first := count()
	Eventually(t, 3*time.Minute, func() error {
		if got := count() - first; got < n {
			return fmt.Errorf("%d reconnections, want %d", got, n)
		}
		return nil
	})
}

// End stops the flood, and fails the test for each write whose outcome was not the expected one.
func (f *Flood) End(t testing.TB) {
	t.Helper()
	f.stop()
	for text, n := range f.failed {
		t.Errorf("%d writes: %s", n, text)
	}
	t.Logf("%d writes, %d of them answered late, during %d reconnections of the API server", f.writes, f.late, f.reconnections)
	Check(t, f.restore(t.Context()))
}
