// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// coldStart stops everything at once. The control plane and the kubelet start first, and the nodes of the product later.
func (s *setup) coldStart(t *testing.T) {
	s.powerOff()
	s.kubelet.Stop()
	s.ControlPlane.Stop()

	began := time.Now()
	suite.Check(t, s.ControlPlane.Restart(t.Context()))
	answers := time.Now()
	suite.Check(t, s.kubelet.Run())
	suite.Check(t, s.kubelet.AwaitReady(suite.Within(t, recovery), s.Admin, answers))
	t.Logf("the API server is ready after %s, and the kubelet %s later, while no replica runs",
		answers.Sub(began).Round(100*time.Millisecond), time.Since(answers).Round(100*time.Millisecond))
	s.testWritesDuringOutage(t)
	s.powerOn()
}

// restarts returns how often each replica was restarted, by pod.
func (s *setup) restarts() map[string]int {
	all := map[string]int{}
	for _, r := range s.Replicas() {
		all[r.Pod] = r.Restarts()
	}
	return all
}

// checkUndisturbed checks that the replicas are the same as before, were not restarted, and are ready.
func (s *setup) checkUndisturbed(t *testing.T, before map[string]int) {
	t.Helper()
	after := s.restarts()
	if !maps.Equal(after, before) {
		t.Errorf("replicas were restarted: %v, before %v", after, before)
	}
	for _, r := range s.Replicas() {
		if !r.Ready() {
			t.Errorf("%s is not ready", r.Pod)
		}
	}
}

// apiServerAway stops the API server for longer than a readiness probe would tolerate.
func (s *setup) apiServerAway(t *testing.T) {
	before := s.restarts()
	s.ControlPlane.APIServer.Stop()
	suite.Sleep(t.Context(), 20*time.Second) // four readiness probes
	s.checkUndisturbed(t, before)
	suite.Check(t, s.ControlPlane.APIServer.Run(t.Context()))
	back := time.Now()
	took := suite.Eventually(t, recovery, func() error {
		a := s.write(t, suite.AddFinalizer(stolenNode))
		if a.Outcome == suite.Denied {
			return nil
		}
		return errors.New(a.String())
	})
	s.checkUndisturbed(t, before)
	t.Logf("denies %s after the API server is ready", took.Round(time.Millisecond))
	s.checkFresh(t, back)
}

// checkFresh checks that the replicas notice a new policy.
func (s *setup) checkFresh(t *testing.T, since time.Time) {
	t.Helper()
	const name = "fresh"
	suite.Check(t, product.Enforce(t.Context(), s.Policies, product.DenyFinalizers(name, "nobody")))
	t.Logf("a new policy is in force %s later", time.Since(since).Round(100*time.Millisecond))
	suite.Check(t, product.Retire(t.Context(), s.Policies, name))
}

// etcdFrozen freezes etcd under load.
func (s *setup) etcdFrozen(t *testing.T) {
	const lasts = 30 * time.Second
	before := s.restarts()
	stop := s.load(t, 5)
	suite.Sleep(t.Context(), time.Second) // of load before
	suite.Check(t, s.ControlPlane.FreezeStore())
	suite.Sleep(t.Context(), lasts)
	s.checkUndisturbed(t, before)
	suite.Check(t, s.ControlPlane.ThawStore())
	thawed := time.Now()
	took := suite.Eventually(t, recovery, func() error {
		if a := s.write(t, suite.AddFinalizer(stolenNode)); a.Outcome != suite.Denied {
			return errors.New(a.String())
		}
		return nil
	})
	answers := stop()
	s.checkUndisturbed(t, before)
	t.Logf("denies %s after etcd continues; %s", took.Round(time.Millisecond), suite.Summary(answers))
	s.checkFresh(t, thawed)
}

// twoAPIServers adds an API server, and changes a policy repeatedly while both are under load.
func (s *setup) twoAPIServers(t *testing.T) {
	const propagation = 5 * time.Second
	o, err := s.APIServerOptions()
	suite.Check(t, err)
	second, err := s.ControlPlane.AddAPIServer(t.Context(), o)
	suite.Check(t, err)
	defer second.Stop()
	other, err := suite.NewKubelet(second, stolenNode)
	suite.Check(t, err)
	both := []*suite.Client{s.attacker, other}
	slowest := time.Duration(0)
	for i := range 5 {
		for _, deny := range []bool{true, false} {
			changed := time.Now()
			suite.Check(t, product.Enforce(t.Context(), s.Policies, denyDirectUpdates("flip", deny)))
			took := suite.Eventually(t, recovery, func() error {
				var errs []error
				for _, w := range both {
					// Every replica must know, no matter which one is called.
					for range 6 {
						a := w.Do(t.Context(), directUpdate())
						s.answers.add(a)
						if (a.Outcome == suite.Denied) != deny {
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
		a := w.Do(t.Context(), suite.AddFinalizer(stolenNode))
		s.answers.add(a)
		if a.Outcome != suite.Denied {
			t.Errorf("want a denial, got %s", a)
		}
	}
	t.Logf("both enforce a change after %s at most", slowest.Round(time.Millisecond))
	suite.Check(t, product.Retire(t.Context(), s.Policies, "flip"))
}
