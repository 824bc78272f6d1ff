// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package down_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/rig"
)

// coldStart ends everything at once. The control plane and the kubelet start again, and only later the nodes of the
// product.
func (s *stage) coldStart(t *testing.T) {
	s.powerOff()
	s.kubelet.Stop()
	s.ControlPlane.Stop()

	began := time.Now()
	check(t, s.ControlPlane.StartAgain(t.Context()))
	answers := time.Now()
	check(t, s.kubelet.Run())
	check(t, s.kubelet.AwaitReady(within(t, recovery), s.Admin, answers))
	t.Logf("the API server is ready after %s, and the kubelet %s later, while nothing of the product runs",
		answers.Sub(began).Round(100*time.Millisecond), time.Since(answers).Round(100*time.Millisecond))
	s.testWritesWhileDown(t)
	s.powerOn()
}

// runs is what a replica is known by, to tell whether it was restarted.
type runs map[string]int

func (s *stage) runs() runs {
	all := runs{}
	for _, r := range s.Replicas() {
		all[r.Pod] = r.Restarts()
	}
	return all
}

// checkUntouched checks that the replicas are those of before, not restarted, and were ready all the time.
func (s *stage) checkUntouched(t *testing.T, before runs) {
	t.Helper()
	after := s.runs()
	if fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("replicas were restarted: %v, before %v", after, before)
	}
	for _, r := range s.Replicas() {
		if !r.Ready() {
			t.Errorf("%s says that it is not ready", r.Pod)
		}
	}
}

// apiServerAway takes the API server away for longer than a readiness probe would bear.
func (s *stage) apiServerAway(t *testing.T) {
	before := s.runs()
	s.ControlPlane.APIServer.Stop()
	wait(t, 20*time.Second) // four readiness probes
	s.checkUntouched(t, before)
	check(t, s.ControlPlane.APIServer.Run(t.Context()))
	back := time.Now()
	took := eventually(t, recovery, func() error {
		a := s.write(t, rig.AddsFinalizer(stolenNode))
		if a.Outcome == rig.Denied {
			return nil
		}
		return errors.New(a.String())
	})
	s.checkUntouched(t, before)
	t.Logf("denies %s after the API server is ready", took.Round(time.Millisecond))
	s.checkFresh(t, back)
}

// checkFresh checks that replicas learn of a change of policies.
func (s *stage) checkFresh(t *testing.T, since time.Time) {
	t.Helper()
	const name = "fresh"
	check(t, product.Enforce(t.Context(), s.Policies, harmless(name)))
	t.Logf("a new policy is in force %s later", time.Since(since).Round(100*time.Millisecond))
	check(t, product.Retire(t.Context(), s.Policies, name))
}

// harmless is a policy that concerns nobody.
func harmless(name string) *v1alpha1.NodeRestrictionPolicy {
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Name = name
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{"nobody"}}
	p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
	return p
}

// etcdFrozen freezes etcd under load.
func (s *stage) etcdFrozen(t *testing.T) {
	const lasts = 30 * time.Second
	before := s.runs()
	stop := s.load(t, 5)
	wait(t, time.Second) // of load before
	check(t, s.ControlPlane.FreezeStore())
	wait(t, lasts)
	s.checkUntouched(t, before)
	check(t, s.ControlPlane.ThawStore())
	thawed := time.Now()
	took := eventually(t, recovery, func() error {
		if a := s.write(t, rig.AddsFinalizer(stolenNode)); a.Outcome != rig.Denied {
			return errors.New(a.String())
		}
		return nil
	})
	answers := stop()
	s.checkUntouched(t, before)
	t.Logf("denies %s after etcd goes on; %s", took.Round(time.Millisecond), summary(answers))
	s.checkFresh(t, thawed)
}

// twoAPIServers adds an API server, and changes a policy again and again under load on both.
func (s *stage) twoAPIServers(t *testing.T) {
	const propagation = 5 * time.Second
	o, err := s.APIServerOptions()
	check(t, err)
	second, err := s.ControlPlane.AddAPIServer(t.Context(), o)
	check(t, err)
	defer second.Stop()
	other, err := rig.NewWriter(second, stolenNode)
	check(t, err)
	both := []*rig.Writer{s.thief, other}
	slowest := time.Duration(0)
	for i := range 5 {
		for _, deny := range []bool{true, false} {
			changed := time.Now()
			check(t, product.Enforce(t.Context(), s.Policies, denyTouches("flip", deny)))
			took := eventually(t, recovery, func() error {
				var errs []error
				for _, w := range both {
					// Every replica has to know, whichever is asked.
					for range 6 {
						a := w.Do(t.Context(), touches())
						s.account.add(a)
						if (a.Outcome == rig.Denied) != deny {
							errs = append(errs, fmt.Errorf("deny %t: %s", deny, a))
						}
					}
				}
				return errors.Join(errs...)
			})
			if slowest = max(slowest, time.Since(changed)); took > propagation {
				t.Errorf("round %d: both API servers agree only after %s", i, took)
			}
		}
	}
	for _, w := range both {
		a := w.Do(t.Context(), rig.AddsFinalizer(stolenNode))
		s.account.add(a)
		if a.Outcome != rig.Denied {
			t.Errorf("want a denial, got %s", a)
		}
	}
	t.Logf("both enforce a change after %s at most", slowest.Round(time.Millisecond))
	check(t, product.Retire(t.Context(), s.Policies, "flip"))
}
