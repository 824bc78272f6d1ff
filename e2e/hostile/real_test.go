// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"noderestriction.plus/e2e/cluster"
)

// realWrites are those of the kubelet, all of which a policy denies.
type realWrites struct {
	answers []suite.Answer
}

// write writes ten times a second at most, until the context ends, and at least once.
func (r *realWrites) write(ctx context.Context, kubelet *suite.Client) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		r.answers = append(r.answers, kubelet.Do(context.WithoutCancel(ctx), suite.AddFinalizer(node)))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check checks that the product has denied them. It may refuse one for which it has no room.
func (r *realWrites) check(t *testing.T) {
	t.Helper()
	denied := 0
	for _, a := range r.answers {
		switch a.Outcome {
		case suite.Denied:
			denied++
		case suite.Unanswered:
		default:
			t.Errorf("a real write was %s", a)
		}
	}
	if denied == 0 {
		t.Errorf("no real write was judged: %s", r.answers[0])
	}
}

func (r *realWrites) summary() string {
	outcomes, took := map[suite.Outcome]int{}, []time.Duration(nil)
	for _, a := range r.answers {
		outcomes[a.Outcome]++
		took = append(took, a.Took)
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100].Round(time.Millisecond) }
	return fmt.Sprintf("%v, p50 %s, p99 %s, slowest %s", outcomes, at(50), at(99), at(100))
}
