// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"testing"
	"time"

	"noderestriction.plus/e2e/suite"
)

// realWrites are writes of the real kubelet. A policy denies all of them.
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

// check checks that the product has denied the writes. It may refuse some under load.
func (r *realWrites) check(t *testing.T) {
	t.Helper()
	denied := 0
	for _, a := range r.answers {
		switch a.Outcome {
		case suite.Denied:
			denied++
		case suite.Unanswered:
		default:
			t.Errorf("a write of the real kubelet: %s", a)
		}
	}
	if denied == 0 {
		t.Errorf("no write of the real kubelet was evaluated: %s", r.answers[0])
	}
}
