// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

const (
	// eventInterval is how often a replica writes the Event of one policy, rule and node, at most.
	eventInterval = 30 * time.Second
	// eventDelay is how long the first violation after a quiet time waits for others, to be written together.
	eventDelay = time.Second
	// eventTimeout bounds the writing of all Events that wait.
	eventTimeout = 10 * time.Second
	// maxEvents bounds the Events that wait to be written, and with them what a replica writes: 256 in 30 s.
	maxEvents = 256
)

// topic is what the violations of one Event have in common.
type topic struct {
	policy  string
	rule    policy.RuleID
	node    string
	outcome policy.Outcome
}

func compareTopics(a, b topic) int {
	return cmp.Or(cmp.Compare(a.policy, b.policy), cmp.Compare(a.rule, b.rule), cmp.Compare(a.node, b.node),
		cmp.Compare(a.outcome, b.outcome))
}

// occurrences are the violations of one topic since its Event was last written.
type occurrences struct {
	count       int32
	first, last time.Time
	note        string // about the first of them
}

// Events writes an Event on a policy for each rule and node, with a count. It is a [Sink] that counts in memory and
// writes at most every 30 seconds. It is for people who look at a policy: what is too much or cannot be written is
// dropped and counted. Dry runs and late answers make no Events.
type Events struct {
	log     logr.Logger
	write   func(ctx context.Context, about topic, seen occurrences) error
	pending chan struct{} // has an element if there is something to write
	written prometheus.Counter
	dropped prometheus.Counter

	mu      sync.Mutex
	waiting map[topic]occurrences
}

// NewEvents returns Events that look up policies in reader, which may be a cache, and write with the client. Its
// metrics are registered with reg. It panics if one of that name is registered already.
func NewEvents(
	reader client.Reader, events eventsv1client.EventsGetter, reg prometheus.Registerer, log logr.Logger,
) *Events {
	return newEvents(newEventWriter(reader, events).write, reg, log)
}

func newEvents(
	write func(context.Context, topic, occurrences) error, reg prometheus.Registerer, log logr.Logger,
) *Events {
	e := &Events{
		log: log, write: write, pending: make(chan struct{}, 1), waiting: map[topic]occurrences{},
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "node_restriction_plus_events_written_total",
			Help: "Times that an Event on a policy was created or its count was raised.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "node_restriction_plus_events_dropped_total",
			Help: "Violations that no Event tells of, because there were too many or the Event could not be written.",
		}),
	}
	reg.MustRegister(e.written, e.dropped)
	return e
}

// Observe counts a violation for each policy and rule.
func (e *Events) Observe(rec *record.Record) {
	if rec.DryRun || rec.Late || rec.Msg == record.Probed {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	seen := map[topic]bool{}
	for i, v := range rec.Decision.Violations {
		about := topic{v.Policy, v.Rule, rec.Node, outcomeOf(v.Action)}
		if v.Policy == "" || seen[about] {
			continue
		}
		seen[about] = true
		note := fmt.Sprintf("node %q: %s", rec.Node, v.Rule.Reason())
		if i < len(rec.Violations) { // bounded and printable
			note += " (" + rec.Violations[i].Detail + ")"
		}
		e.count(about, time.Time(rec.Time), note)
	}
}

func outcomeOf(action v1alpha1.ValidationAction) policy.Outcome {
	switch action {
	case v1alpha1.Deny:
		return policy.Denied
	case v1alpha1.Warn:
		return policy.Warned
	}
	return policy.Audited
}

// count adds one to what waits. The caller holds mu.
func (e *Events) count(about topic, at time.Time, note string) {
	known, ok := e.waiting[about]
	switch {
	case !ok && len(e.waiting) >= maxEvents:
		e.dropped.Inc()
		return
	case !ok:
		known = occurrences{first: at, note: note}
	}
	known.count++
	known.last = at
	e.waiting[about] = known
	select {
	case e.pending <- struct{}{}:
	default:
	}
}

// NeedLeaderElection says that every replica writes what it has seen.
func (*Events) NeedLeaderElection() bool { return false }

// Start writes Events until ctx ends, and then what is left. It never fails.
func (e *Events) Start(ctx context.Context) error {
	var last time.Time
	delay := func() time.Duration { return max(eventDelay, time.Until(last.Add(eventInterval))) }
	for awaitTurn(ctx, e.pending, delay) {
		e.flush(ctx)
		last = time.Now()
	}
	e.flush(context.WithoutCancel(ctx))
	return nil
}

// flush writes what waits.
func (e *Events) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	e.mu.Lock()
	waiting := e.waiting
	e.waiting = map[topic]occurrences{}
	e.mu.Unlock()
	var failure error
	for _, about := range slices.SortedFunc(maps.Keys(waiting), compareTopics) {
		if err := e.write(ctx, about, waiting[about]); err != nil {
			failure = err
			e.dropped.Add(float64(waiting[about].count))
			continue
		}
		e.written.Inc()
	}
	if failure != nil {
		e.log.Error(failure, "Could not write all Events")
	}
}
