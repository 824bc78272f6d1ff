// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/policystatus"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

const (
	// statusInterval is how often a replica writes the status of one policy, at most.
	statusInterval = 10 * time.Second
	// statusDelay is how long the first violation after a quiet time waits for others, to be written together.
	statusDelay = time.Second
	// writeTimeout is how long the status of one policy may take, so that it does not hold up the others'.
	writeTimeout = 5 * time.Second
	// flushTimeout is how long the last write may take at shutdown.
	flushTimeout = 5 * time.Second
	// maxTallies bounds the policies that wait for their status to be written.
	maxTallies = 1024
)

// Status keeps status.violations of the policies. It is a [Sink] that counts in memory and writes at most every 10
// seconds, for all replicas at once: what it adds, it adds to what is stored. Dry runs and late answers do not count. What could not be
// written is retried; the log, not the status, is the exact record.
type Status struct {
	log logr.Logger
	add func(ctx context.Context, policy string, t tallies) error
	// pending has an element if there are tallies to write.
	pending chan struct{}

	mu      sync.Mutex
	tallies map[string]tallies // by policy
}

// NewStatus returns a Status that reads policies from reader, which must not be a cache, and writes their status
// through writer.
func NewStatus(reader client.Reader, writer client.StatusClient, log logr.Logger) *Status {
	statuses := policystatus.NewWriter(writer, "violations")
	return newStatus(func(ctx context.Context, policy string, t tallies) error {
		return addViolations(ctx, reader, statuses, policy, t)
	}, log)
}

func newStatus(add func(context.Context, string, tallies) error, log logr.Logger) *Status {
	return &Status{log: log, add: add, pending: make(chan struct{}, 1), tallies: map[string]tallies{}}
}

// Observe counts the write for each policy that it violates, by what that policy makes of it.
func (s *Status) Observe(rec *record.Record) {
	if rec.DryRun || rec.Late || rec.Msg != policy.Denied && rec.Msg != policy.Warned && rec.Msg != policy.Audited {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, first := range violated(rec.Decision) {
		s.count(name, tallies{first.Action: tallyOf(rec, first.Rule)})
	}
}

// violated has the policies that a write violates, each with its first violation.
func violated(d policy.Decision) map[string]*policy.PolicyViolation {
	first := map[string]*policy.PolicyViolation{}
	for i := range d.Violations {
		if v := &d.Violations[i]; v.Policy != "" && first[v.Policy] == nil {
			first[v.Policy] = v
		}
	}
	return first
}

// count adds to the tallies of a policy. The caller holds mu.
func (s *Status) count(name string, t tallies) {
	known, ok := s.tallies[name]
	if !ok && len(s.tallies) >= maxTallies {
		return
	}
	s.tallies[name] = known.plus(t)
	select {
	case s.pending <- struct{}{}:
	default:
	}
}

// NeedLeaderElection says that every replica writes what it has counted.
func (*Status) NeedLeaderElection() bool { return false }

// Start writes what was counted until ctx ends, and then once more. It never fails.
func (s *Status) Start(ctx context.Context) error {
	var written time.Time
	delay := func() time.Duration { return max(statusDelay, time.Until(written.Add(statusInterval))) }
	for awaitTurn(ctx, s.pending, delay) {
		s.flush(ctx)
		written = time.Now()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	s.flush(ctx)
	return nil
}

// awaitTurn waits until there is something pending and then for the delay. It returns false if ctx ends.
func awaitTurn(ctx context.Context, pending <-chan struct{}, delay func() time.Duration) bool {
	select {
	case <-pending:
	case <-ctx.Done():
		return false
	}
	select {
	case <-time.After(delay()):
		return true
	case <-ctx.Done():
		return false
	}
}

// flush writes all tallies, and keeps those that it could not write.
func (s *Status) flush(ctx context.Context) {
	s.mu.Lock()
	counted := s.tallies
	s.tallies = map[string]tallies{}
	s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(counted)) {
		err := s.write(ctx, name, counted[name])
		if err == nil || apierrors.IsNotFound(err) {
			continue
		}
		if apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) {
			s.log.Error(err, "The policy's status does not take these violations, they are not counted there", "policy", name)
			continue
		}
		s.log.Error(err, "Could not count violations in the policy's status, will retry", "policy", name)
		s.mu.Lock()
		s.count(name, counted[name])
		s.mu.Unlock()
	}
}

// write writes the tallies of one policy. What the API server calls invalid would be invalid again: only the numbers are retried.
func (s *Status) write(ctx context.Context, name string, t tallies) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := s.add(ctx, name, t)
	if apierrors.IsInvalid(err) {
		s.log.Error(err, "Could not show violations in the policy's status", "policy", name)
		err = s.add(ctx, name, t.numbers())
	}
	return err
}

// addViolations adds tallies to what is stored. It changes nothing else of the status, and nothing that changed meanwhile.
func addViolations(ctx context.Context, reader client.Reader, writer policystatus.Writer, name string, t tallies) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		stored := &v1alpha1.NodeRestrictionPolicy{}
		if err := reader.Get(ctx, client.ObjectKey{Name: name}, stored); err != nil {
			return err
		}
		var violations *v1alpha1.Violations
		if stored.Status != nil {
			violations = stored.Status.Violations
		}
		return writer.WriteViolations(ctx, stored, t.addedTo(violations))
	})
}
