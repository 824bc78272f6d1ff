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

// These Events are not written by client-go's recorder, which the rest of the webhook uses. A sender of forged reviews chooses the
// node, and so the number of different Events: the recorder would make a request for each and keep each in memory, and it raises the
// count of an Event only every 30 minutes.
const (
	// eventInterval is the minimum time between two writes of the Event of one policy, rule and node by a replica.
	eventInterval = 30 * time.Second
	// eventDelay is how long the first violation after a quiet period waits for others, to be written together.
	eventDelay = time.Second
	// eventTimeout bounds the writing of all waiting Events.
	eventTimeout = 10 * time.Second
	// maxEvents is the maximum number of Events that wait to be written. So a replica writes at most 256 in 30 s.
	maxEvents = 256
)

// topic identifies the violations that share an Event.
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
// writes at most every 30 seconds. It is a convenience for users: violations that are too many or cannot be written are
// dropped and counted. Dry runs and late answers cause no Events.
type Events struct {
	log     logr.Logger
	write   func(ctx context.Context, about topic, seen occurrences) error
	pending chan struct{} // has an element if there is something to write
	written prometheus.Counter
	dropped prometheus.Counter

	mu      sync.Mutex
	waiting map[topic]occurrences
}

// NewEvents returns Events that reads policies from reader, which may be a cache, and writes with the client. Its metrics are
// registered with reg. It panics if one of them is already registered.
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
			Help: "Violations without an Event, because there were too many or the Event could not be written.",
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

// count adds a violation to the waiting ones. The caller holds mu.
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

// NeedLeaderElection implements the manager's LeaderElectionRunnable: every replica writes.
func (*Events) NeedLeaderElection() bool { return false }

// Start writes Events until ctx ends, and then the remaining ones. It returns nil.
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

// flush writes the waiting Events.
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
