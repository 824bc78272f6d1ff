// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/policy"
)

// account is what the attacker was answered so far.
type account struct {
	mu      sync.Mutex
	denied  int              // by the product
	unknown int              // neither denied by the product nor let pass by it, as far as the answer tells
	slow    int              // denied by the product, after so long that it may have been asked twice
	wrong   []cluster.Answer // allowed, though a policy denies it
}

// write sends a write of the attacker and accounts for the answer.
func (s *setup) write(t *testing.T, w cluster.Write) cluster.Answer {
	t.Helper()
	a := s.attacker.Do(t.Context(), w)
	s.account.add(a)
	return a
}

func (a *account) add(answer cluster.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch answer.Outcome {
	case cluster.Denied:
		a.denied++
		if answer.Took > 2*time.Second {
			a.slow++
		}
	case cluster.Allowed:
		if answer.Write == cluster.AddsFinalizer(stolenNode) {
			a.wrong = append(a.wrong, answer)
		}
	case cluster.Unanswered, cluster.NoAnswer, cluster.Refused:
		a.unknown++
	}
}

// checkAccount checks that there is a record of every denial that the attacker was answered, and none of another, but for
// those whose answer was lost; that the numbers of each run have no gap; and that no kubelet was denied anything.
func (s *setup) checkAccount(t *testing.T) {
	t.Helper()
	records, err := s.Records()
	check(t, err)
	uids, boots := map[string]bool{}, map[string][]uint64{}
	for _, r := range records {
		boots[r.Boot] = append(boots[r.Boot], r.Seq)
		switch {
		case r.Node == stolenNode && r.Msg == policy.Denied:
			uids[r.UID] = true
		case r.Node == kubeletNode || slices.ContainsFunc(s.Nodes, func(n *cluster.Node) bool { return n.Name == r.Node }):
			t.Errorf("a write of a stock kubelet was judged a violation: %s", r.Text)
		}
	}
	s.account.mu.Lock()
	denied, unknown, slow, wrong := s.account.denied, s.account.unknown, s.account.slow, s.account.wrong
	s.account.mu.Unlock()
	if len(wrong) > 0 {
		t.Errorf("%d writes were allowed that a policy denies: %s", len(wrong), wrong[0])
	}
	// An API server that has judged a write by an object of its cache, and finds that somebody else has changed it
	// since, asks once more: then one denial has two records. Few do.
	twice := 1 + denied/100 + slow
	if len(uids) < denied || len(uids) > denied+unknown+twice {
		t.Errorf("%d records of %d denials, and of %d writes of which the answer does not tell", len(uids), denied, unknown)
	}
	for boot, seqs := range boots {
		slices.Sort(seqs)
		if first, last := seqs[0], seqs[len(seqs)-1]; first != 1 || int(last) != len(seqs) {
			t.Errorf("run %s has %d records, from number %d to %d", boot, len(seqs), first, last)
		}
	}
}

// recordsAfter are the records of the attacker's denials after a moment.
func (s *setup) recordsAfter(t *testing.T, moment time.Time) []product.Line {
	t.Helper()
	records, err := s.Records()
	check(t, err)
	return slices.DeleteFunc(records, func(r product.Line) bool {
		return r.Node != stolenNode || time.Time(r.Time).Before(moment)
	})
}

// load writes at a steady rate until it is stopped, and returns the answers. Every second write is one that the product
// denies, the others it lets pass.
func (s *setup) load(t *testing.T, perSecond int) (stop func() []cluster.Answer) {
	t.Helper()
	var mu sync.Mutex
	var answers []cluster.Answer
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
			write := cluster.AddsFinalizer(stolenNode)
			if i%2 == 0 {
				write = ownAnnotation(stolenNode)
			}
			group.Go(func() {
				a := s.attacker.Do(t.Context(), write)
				s.account.add(a)
				mu.Lock()
				defer mu.Unlock()
				answers = append(answers, a)
			})
		}
	}()
	return func() []cluster.Answer {
		close(ended)
		<-done
		group.Wait()
		return answers
	}
}

// ownAnnotation is a write to the Node itself that a kubelet may make, and that the API server asks about with Fail.
func ownAnnotation(node string) cluster.Write {
	const key = "volumes.kubernetes.io/controller-managed-attach-detach"
	w := cluster.PatchStatus(node, `{"metadata":{"annotations":{"`+key+`":"true"}}}`)
	w.Path = "/api/v1/nodes/" + node
	return w
}

// failed are the answers that no product gave.
func failed(answers []cluster.Answer) []cluster.Answer {
	return slices.DeleteFunc(slices.Clone(answers), func(a cluster.Answer) bool {
		return a.Outcome == cluster.Denied || a.Outcome == cluster.Allowed
	})
}

// summary says what became of writes, and how long they took.
func summary(answers []cluster.Answer) string {
	outcomes := map[cluster.Outcome]int{}
	var took []time.Duration
	for _, a := range answers {
		outcomes[a.Outcome]++
		took = append(took, a.Took)
	}
	slices.Sort(took)
	if len(took) == 0 {
		return "no writes"
	}
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100].Round(time.Millisecond) }
	return fmt.Sprintf("%d writes %v, p50 %s, p99 %s, slowest %s", len(answers), outcomes, at(50), at(99), at(100))
}
