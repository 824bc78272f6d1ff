// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/policy"
)

// answerCounts counts the answers to the attacker so far.
type answerCounts struct {
	mu      sync.Mutex
	denied  int            // by the product
	unknown int            // the answer does not show whether the product has denied the write
	slow    int            // denied by the product so late that it may have been called twice
	wrong   []suite.Answer // allowed, though a policy denies the write
}

// write sends a write of the attacker and counts the answer.
func (s *setup) write(t *testing.T, r suite.Request) suite.Answer {
	t.Helper()
	a := s.attacker.Do(t.Context(), r)
	s.answers.add(a)
	return a
}

func (a *answerCounts) add(answer suite.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch answer.Outcome {
	case suite.Denied:
		a.denied++
		if answer.Took > 2*time.Second {
			a.slow++
		}
	case suite.Allowed:
		if answer.Request == suite.AddFinalizer(stolenNode) {
			a.wrong = append(a.wrong, answer)
		}
	case suite.Unanswered, suite.NoAnswer, suite.Refused:
		a.unknown++
	}
}

// checkRecords checks that there is one record of every denial that the attacker got, except those whose answer was lost; that the
// sequence numbers of each run have no gap; and that no write of a stock kubelet violated a policy.
func (s *setup) checkRecords(t *testing.T) {
	t.Helper()
	records, err := s.Records()
	suite.Check(t, err)
	uids, boots := map[string]bool{}, map[string][]uint64{}
	for _, r := range records {
		boots[r.Boot] = append(boots[r.Boot], r.Seq)
		switch {
		case r.Node == stolenNode && r.Msg == policy.Denied:
			uids[r.UID] = true
		case r.Node == kubeletNode || slices.ContainsFunc(s.Nodes, func(n *cluster.Node) bool { return n.Name == r.Node }):
			t.Errorf("a write of a stock kubelet violates a policy: %s", r.Text)
		}
	}
	s.answers.mu.Lock()
	denied, unknown, slow, wrong := s.answers.denied, s.answers.unknown, s.answers.slow, s.answers.wrong
	s.answers.mu.Unlock()
	if len(wrong) > 0 {
		t.Errorf("%d writes were allowed that a policy denies: %s", len(wrong), wrong[0])
	}
	// An API server evaluates a write with the object of its cache first. If another client has changed the object since, it calls
	// the webhook again: then one denial has two records, which is rare.
	twice := 1 + denied/100 + slow
	if len(uids) < denied || len(uids) > denied+unknown+twice {
		t.Errorf("%d records of %d denials and of %d writes that may have been denied", len(uids), denied, unknown)
	}
	for boot, seqs := range boots {
		slices.Sort(seqs)
		if first, last := seqs[0], seqs[len(seqs)-1]; first != 1 || int(last) != len(seqs) {
			t.Errorf("run %s has %d records, numbered %d to %d", boot, len(seqs), first, last)
		}
	}
}

// recordsAfter returns the records of the attacker's denials after a moment.
func (s *setup) recordsAfter(t *testing.T, moment time.Time) []product.Line {
	t.Helper()
	records, err := s.Records()
	suite.Check(t, err)
	return slices.DeleteFunc(records, func(r product.Line) bool {
		return r.Node != stolenNode || time.Time(r.Time).Before(moment)
	})
}

// load writes at a steady rate until it is stopped, and returns the answers. The product denies every second write and allows the
// others.
func (s *setup) load(t *testing.T, perSecond int) (stop func() []suite.Answer) {
	t.Helper()
	var mu sync.Mutex
	var answers []suite.Answer
	var group sync.WaitGroup
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			request := suite.AddFinalizer(stolenNode)
			if i%2 == 0 {
				request = suite.AnnotateOwnNode(stolenNode)
			}
			group.Go(func() {
				a := s.attacker.Do(t.Context(), request)
				s.answers.add(a)
				mu.Lock()
				defer mu.Unlock()
				answers = append(answers, a)
			})
		}
	}()
	return func() []suite.Answer {
		close(ended)
		<-done
		group.Wait()
		return answers
	}
}

// failed returns the answers that the product did not give.
func failed(answers []suite.Answer) []suite.Answer {
	return slices.DeleteFunc(slices.Clone(answers), func(a suite.Answer) bool {
		return a.Outcome == suite.Denied || a.Outcome == suite.Allowed
	})
}
