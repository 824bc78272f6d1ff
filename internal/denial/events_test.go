// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// eventLog collects what Events would write, from their one goroutine.
type eventLog struct {
	start time.Time
	lines []string

	mu  sync.Mutex
	err error // of every write
}

func (l *eventLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *eventLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *eventLog) write(_ context.Context, about topic, seen occurrences) error {
	if err := l.failure(); err != nil {
		return err
	}
	l.lines = append(l.lines, fmt.Sprintf("%v %s %s %s %s x%d",
		time.Since(l.start).Truncate(time.Second), about.policy, about.rule, about.node, about.outcome, seen.count))
	return nil
}

// runEvents runs Events over what happens, in fake time.
func runEvents(t *testing.T, happens func(e *Events, l *eventLog)) (*eventLog, *Events) {
	t.Helper()
	l := &eventLog{}
	var e *Events
	synctest.Test(t, func(t *testing.T) {
		l.start = time.Now()
		e = newEvents(l.write, prometheus.NewRegistry(), logr.Discard())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Start(ctx) }()
		synctest.Wait()
		happens(e, l)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l, e
}

func see(e *Events, rec record.Record) { e.Observe(&rec) }

func TestEventsAreWrittenAtMostEveryThirtySecondsWithACount(t *testing.T) {
	l, _ := runEvents(t, func(e *Events, _ *eventLog) {
		for range 65 {
			see(e, denied("worker-1"))
			time.Sleep(1000100 * time.Microsecond) // never at the very moment of a write
		}
	})
	want := []string{
		"1s recommended node-finalizers worker-1 denied x1",
		"31s recommended node-finalizers worker-1 denied x30",
		"1m1s recommended node-finalizers worker-1 denied x30",
		"1m5s recommended node-finalizers worker-1 denied x4",
	}
	if !slices.Equal(l.lines, want) {
		t.Errorf("got %q, want %q", l.lines, want)
	}
}

func TestEventsOfOneWriteAreOnePolicyAndRuleEach(t *testing.T) {
	rec := denied("worker-1")
	rec.Decision.Violations = []policy.PolicyViolation{
		{Policy: "a", Rule: "node-labels", Action: v1alpha1.Deny},
		{Policy: "a", Rule: "node-labels", Action: v1alpha1.Deny},
		{Policy: "a", Rule: "node-taints", Action: v1alpha1.Deny},
		{Policy: "b", Rule: "node-labels", Action: v1alpha1.Audit},
		{Policy: "c", Rule: "node-labels", Action: v1alpha1.Warn},
		{Policy: "", Rule: policy.Unverified, Action: v1alpha1.Deny},
	}
	l, _ := runEvents(t, func(e *Events, _ *eventLog) { see(e, rec) })
	want := []string{
		"0s a node-labels worker-1 denied x1",
		"0s a node-taints worker-1 denied x1",
		"0s b node-labels worker-1 audited x1",
		"0s c node-labels worker-1 warned x1",
	}
	if !slices.Equal(l.lines, want) {
		t.Errorf("got %q, want %q", l.lines, want)
	}
}

func TestEventsDoNotTellOfDryRuns(t *testing.T) {
	rec := denied("worker-1")
	rec.DryRun = true
	if l, _ := runEvents(t, func(e *Events, _ *eventLog) { see(e, rec) }); len(l.lines) > 0 {
		t.Errorf("got %q", l.lines)
	}
}

func TestEventsThatAreTooManyAreDroppedAndCounted(t *testing.T) {
	const nodes = 5000
	l, e := runEvents(t, func(e *Events, _ *eventLog) {
		for i := range nodes {
			see(e, denied(fmt.Sprintf("worker-%d", i)))
		}
	})
	if len(l.lines) != maxEvents {
		t.Errorf("wrote %d Events, want %d", len(l.lines), maxEvents)
	}
	if got := testutil.ToFloat64(e.dropped); got != nodes-maxEvents {
		t.Errorf("dropped %v, want %d", got, nodes-maxEvents)
	}
}

func TestEventsThatCannotBeWrittenAreDroppedAndCounted(t *testing.T) {
	_, e := runEvents(t, func(e *Events, l *eventLog) {
		l.fail(errors.New("the API server is away"))
		see(e, denied("worker-1"))
		see(e, denied("worker-1"))
		time.Sleep(time.Minute)
		l.fail(nil)
		see(e, denied("worker-1"))
	})
	if got := testutil.ToFloat64(e.dropped); got != 2 {
		t.Errorf("dropped %v, want 2", got)
	}
	if got := testutil.ToFloat64(e.written); got != 1 {
		t.Errorf("wrote %v, want 1", got)
	}
}
