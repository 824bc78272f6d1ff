// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/policy"
)

// chaosInterval is the time between two faults.
const chaosInterval = 20 * time.Second

// fault is something that goes wrong.
type fault struct {
	name string
	run  func(s *setup, t *testing.T, random *rand.Rand)
}

func faults() []fault {
	return []fault{
		{"a replica is killed", func(s *setup, _ *testing.T, random *rand.Rand) {
			s.signalOne(random, syscall.SIGKILL)
		}},
		{"a replica is terminated", func(s *setup, _ *testing.T, random *rand.Rand) {
			s.signalOne(random, syscall.SIGTERM)
		}},
		{"a replica hangs for a while", func(s *setup, t *testing.T, random *rand.Rand) {
			r := s.signalOne(random, syscall.SIGSTOP)
			if r != nil {
				suite.Sleep(t.Context(), time.Duration(5+random.IntN(10))*time.Second)
				_ = r.Signal(syscall.SIGCONT) // it may have been killed
			}
		}},
		{"the certificate changes", func(s *setup, t *testing.T, _ *rand.Rand) {
			suite.Check(t, s.Renew(t.Context(), "serving"))
		}},
		{"a policy changes", func(s *setup, t *testing.T, random *rand.Rand) {
			suite.Check(t, product.Enforce(t.Context(), s.Policies, denyDirectUpdates("flip", random.IntN(2) == 0)))
		}},
		{"the API server restarts", func(s *setup, t *testing.T, _ *rand.Rand) {
			s.ControlPlane.APIServer.Stop()
			suite.Check(t, s.ControlPlane.APIServer.Run(t.Context()))
		}},
	}
}

// signalOne sends a signal to one of the replicas, if there are any.
func (s *setup) signalOne(random *rand.Rand, signal syscall.Signal) *cluster.Replica {
	replicas := s.Replicas()
	if len(replicas) == 0 {
		return nil
	}
	r := replicas[random.IntN(len(replicas))]
	_ = r.Signal(signal) // it may just have exited
	return r
}

// TestChaos injects a random fault every 20 s for the duration in the environment variable CHAOS; SEED repeats a run. It checks three
// invariants: no write is allowed that a policy denies; answers, records and counters agree; the Node of the kubelet is Ready 99 % of
// the time.
func TestChaos(t *testing.T) {
	text := os.Getenv("CHAOS")
	if text == "" {
		return
	}
	lasts, err := time.ParseDuration(text)
	suite.Check(t, err)
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	// The default of Kubernetes. The other tests use a shorter period.
	s := newSetup(t, options{controllers: []string{"--node-monitor-grace-period=50s"}})
	began := time.Now()
	ready := s.watchReadiness(t)
	stop := s.load(t, 20)
	for all := faults(); time.Since(began) < lasts; {
		next := time.Now().Add(chaosInterval)
		fault := all[random.IntN(len(all))]
		t.Logf("%s %s", time.Since(began).Round(time.Second), fault.name)
		fault.run(s, t, random)
		suite.Sleep(t.Context(), time.Until(next))
	}
	answers := stop()
	times, of := ready()
	t.Logf("%s; the Node was Ready %d times of %d", suite.Summary(answers), times, of)
	if times*100 < of*99 {
		t.Error("the Node was Ready too rarely")
	}
	s.awaitRecovered(t)
	s.checkRecords(t)
	s.checkCounters(t)
}

// watchReadiness reads every second whether the Node of the kubelet is Ready. The function that it returns stops it and returns how
// often the Node was Ready, and how often the API server answered.
func (s *setup) watchReadiness(t *testing.T) (stop func() (times, of int)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	times, of := 0, 0
	go func() {
		defer close(done)
		for {
			node, err := s.Admin.CoreV1().Nodes().Get(ctx, kubeletNode, metav1.GetOptions{})
			if err == nil {
				of++
				for _, c := range node.Status.Conditions {
					if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
						times++
					}
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	}()
	return func() (int, int) {
		cancel()
		<-done
		return times, of
	}
}

// checkCounters checks that each replica has counted as many denials as it has recorded since it started.
func (s *setup) checkCounters(t *testing.T) {
	t.Helper()
	for _, r := range s.Replicas() {
		suite.Eventually(t, recovery, func() error {
			lines, err := r.Records().Since(0)
			if err != nil || len(lines) == 0 {
				return err
			}
			boot, recorded := lines[len(lines)-1].Boot, 0
			for _, l := range lines {
				if l.Boot == boot && l.Msg == policy.Denied {
					recorded++
				}
			}
			m, err := r.Metrics(t.Context())
			if err != nil {
				return err
			}
			if counted := int(m.Sum("node_restriction_plus_denials_total")); counted != recorded {
				return fmt.Errorf("%s counts %d denials and has recorded %d", r.Pod, counted, recorded)
			}
			return nil
		})
	}
}
