// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/policystatus"
	"noderestriction.plus/internal/stockwrites"
	"noderestriction.plus/policy"
)

const (
	// reportInterval is how often a replica writes what a policy has evaluated. The first write of a kind is reported after statusDelay,
	// and no two reports are closer than statusInterval.
	reportInterval = 5 * time.Minute
	// maxSilence is how old the latest report of all replicas may be before a replica reports that it has evaluated nothing.
	maxSilence = 10 * time.Minute
)

// Evaluations keeps status.evaluated of the policies. It counts in memory, by policy and kind of write, and adds what it has counted to
// what is stored. It does not wait when it counts. Its zero value counts nothing.
type Evaluations struct {
	log logr.Logger
	add func(ctx context.Context, e evaluated, now time.Time) error
	// pending has an element if a kind of write was evaluated for the first time, or if a report failed.
	pending chan struct{}
	counts  atomic.Pointer[policyCounts]
}

// policyCounts are the counts of each policy in force. The maps are immutable.
type policyCounts map[*policy.Policy]map[stockwrites.Write]*evaluationCount

// evaluationCount counts the writes of one kind that a policy has evaluated.
type evaluationCount struct {
	unreported atomic.Int64
	last       atomic.Int64 // when, in seconds since 1970
	reported   atomic.Bool  // there was a report of this kind
}

// NewEvaluations returns Evaluations that read policies from reader, which must not be a cache, and write their status through writer.
func NewEvaluations(reader client.Reader, writer client.StatusClient, log logr.Logger) *Evaluations {
	statuses := policystatus.NewWriter(writer, "evaluations")
	return newEvaluations(func(ctx context.Context, e evaluated, now time.Time) error {
		return addEvaluated(ctx, reader, statuses, e, now)
	}, log)
}

func newEvaluations(add func(context.Context, evaluated, time.Time) error, log logr.Logger) *Evaluations {
	return &Evaluations{log: log, add: add, pending: make(chan struct{}, 1)}
}

// Expect prepares the counts of a set before it is in force. Policies that are not in the set are forgotten. It must not be called
// concurrently.
func (e *Evaluations) Expect(set *policy.Set) {
	var known policyCounts
	if counts := e.counts.Load(); counts != nil {
		known = *counts
	}
	counts := policyCounts{}
	for _, p := range set.Policies() {
		if counts[p] = known[p]; counts[p] != nil {
			continue
		}
		counts[p] = map[stockwrites.Write]*evaluationCount{}
		for _, w := range stockwrites.Of(p) {
			counts[p][w.Write] = &evaluationCount{}
		}
	}
	e.counts.Store(&counts)
}

// Evaluated counts a write for each policy that has evaluated it. Dry runs do not count.
func (e *Evaluations) Evaluated(r *policy.Request, d policy.Decision) {
	counts := e.counts.Load()
	if counts == nil || r.DryRun || len(d.Evaluators) == 0 {
		return
	}
	w := stockwrites.Write{Operation: r.Operation, Resource: r.Resource, Subresource: r.Subresource}
	now := time.Now().Unix()
	for _, p := range d.Evaluators {
		c := (*counts)[p][w]
		if c == nil {
			continue // no stock kubelet makes it, or the policy is not in force any more
		}
		c.unreported.Add(1)
		c.last.Store(now)
		if !c.reported.Load() {
			e.signal()
		}
	}
}

func (e *Evaluations) signal() {
	select {
	case e.pending <- struct{}{}:
	default:
	}
}

// NeedLeaderElection says that every replica reports what it has evaluated.
func (*Evaluations) NeedLeaderElection() bool { return false }

// Start reports until ctx ends, and then once more. It never fails.
func (e *Evaluations) Start(ctx context.Context) error {
	reports := time.NewTicker(reportInterval)
	defer reports.Stop()
	var reported time.Time
	for {
		select {
		case <-reports.C:
			e.flush(ctx, true)
		case <-e.pending:
			select {
			case <-time.After(max(statusDelay, time.Until(reported.Add(statusInterval)))):
				e.flush(ctx, false)
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		reported = time.Now()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	e.flush(ctx, false)
	return nil
}

// flush reports what all policies have evaluated, and keeps what it could not report. With all, it also reports policies that have
// evaluated nothing.
func (e *Evaluations) flush(ctx context.Context, all bool) {
	counts := e.counts.Load()
	if counts == nil {
		return
	}
	for _, p := range slices.SortedFunc(maps.Keys(*counts), func(a, b *policy.Policy) int { return cmp.Compare(a.Name(), b.Name()) }) {
		taken := evaluated{policy: p.Name(), generation: p.Generation(), writes: take((*counts)[p])}
		if len(taken.writes) == 0 && !all {
			continue
		}
		if err := e.write(ctx, taken); err != nil {
			e.log.Error(err, "Could not report in the policy's status what it has evaluated, will retry", "policy", p.Name())
			e.putBack((*counts)[p], taken)
		}
	}
}

// take takes what has not been reported, sorted by kind.
func take(counts map[stockwrites.Write]*evaluationCount) []v1alpha1.EvaluatedWrites {
	var writes []v1alpha1.EvaluatedWrites
	for w, c := range counts {
		if n := c.unreported.Swap(0); n > 0 {
			c.reported.Store(true)
			writes = append(writes, v1alpha1.EvaluatedWrites{
				Write: w.String(), Count: n, LastTime: metav1.NewTime(time.Unix(c.last.Load(), 0)),
			})
		}
	}
	slices.SortFunc(writes, func(a, b v1alpha1.EvaluatedWrites) int { return cmp.Compare(a.Write, b.Write) })
	return writes
}

// write reports what one policy has evaluated. A policy that is gone has no status.
func (e *Evaluations) write(ctx context.Context, taken evaluated) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := e.add(ctx, taken, time.Now()); !apierrors.IsNotFound(err) {
		return err
	}
	return nil
}

// putBack keeps what could not be reported for the next report.
func (e *Evaluations) putBack(counts map[stockwrites.Write]*evaluationCount, taken evaluated) {
	for w, c := range counts {
		for _, writes := range taken.writes {
			if writes.Write == w.String() {
				c.unreported.Add(writes.Count)
			}
		}
	}
	if len(taken.writes) > 0 {
		e.signal()
	}
}

// evaluated is what one replica adds to the evaluated writes of a policy.
type evaluated struct {
	policy     string
	generation int64
	writes     []v1alpha1.EvaluatedWrites // each kind once
}

// addEvaluated adds to what is stored. It changes nothing else of the status, and nothing that changed meanwhile. What another generation
// of the policy has evaluated does not count.
func addEvaluated(ctx context.Context, reader client.Reader, writer policystatus.Writer, e evaluated, now time.Time) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		stored := &v1alpha1.NodeRestrictionPolicy{}
		if err := reader.Get(ctx, client.ObjectKey{Name: e.policy}, stored); err != nil {
			return err
		}
		if stored.Generation != e.generation {
			return nil
		}
		var before *v1alpha1.Evaluated
		if stored.Status != nil {
			before = stored.Status.Evaluated
		}
		sum := e.addedTo(before, now)
		if sum == nil {
			return nil
		}
		return writer.WriteEvaluated(ctx, stored, sum)
	})
}

// addedTo returns the stored writes with those of the replica added to them, or nil if there is nothing to report.
func (e *evaluated) addedTo(stored *v1alpha1.Evaluated, now time.Time) *v1alpha1.Evaluated {
	sum := &v1alpha1.Evaluated{Generation: e.generation, ReportTime: metav1.NewTime(now.Truncate(time.Second))}
	writes := map[string]v1alpha1.EvaluatedWrites{}
	if stored != nil && stored.Generation == e.generation {
		if len(e.writes) == 0 && now.Sub(stored.ReportTime.Time) < maxSilence {
			return nil
		}
		sum.ReportTime = later(sum.ReportTime, stored.ReportTime)
		for _, w := range stored.Writes {
			writes[w.Write] = w
		}
	}
	for _, w := range e.writes {
		before := writes[w.Write]
		writes[w.Write] = v1alpha1.EvaluatedWrites{
			Write: w.Write, Count: before.Count + w.Count, LastTime: later(before.LastTime, w.LastTime),
		}
	}
	for _, name := range slices.Sorted(maps.Keys(writes)) {
		sum.Writes = append(sum.Writes, writes[name])
	}
	return sum
}
