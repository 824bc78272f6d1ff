// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"noderestriction.plus/e2e/suite"
)

// testRestart stops the product under load. It answers what it has accepted and records what it has denied, and kubelets keep
// working while it is down.
func (s *environment) testRestart(t *testing.T) {
	const node, delay = "restarter", 2 * time.Second
	s.denyFinalizers(t, "restart", node)
	s.CreateNode(t, node)
	kubelet := suite.Kubelet(t, s.ControlPlane.APIServer, node)
	suite.Check(t, s.product.Stop())
	suite.Check(t, s.product.Run(t.Context(), "--shutdown-delay="+delay.String()))
	first, err := s.product.Records.Len()
	suite.Check(t, err)

	loaded, endLoad := context.WithCancel(t.Context())
	answers := make(chan []suite.Answer)
	go func() { answers <- load(loaded, kubelet, node) }()
	s.awaitRecord(t, first)
	signalled := time.Now()
	suite.Check(t, s.product.Process().Signal(syscall.SIGTERM))
	for s.product.Ready(t.Context()) == nil {
		if time.Since(signalled) > delay {
			t.Fatal("the product is still ready")
		}
	}
	unready := time.Now()
	if err := s.product.Process().Wait(suite.Within(t, time.Minute)); err != nil {
		t.Errorf("the product did not stop cleanly: %v", err)
	}
	ended := time.Now()
	endLoad()
	s.checkAnswers(t, <-answers, first, signalled.Add(delay), unready)
	if lasted := ended.Sub(signalled); lasted < delay {
		t.Errorf("the product exited after %s, within its shutdown delay", lasted)
	}
	t.Run("while it is down", func(t *testing.T) { s.testAway(t, kubelet, node) })
	suite.Check(t, s.product.Run(t.Context()))
	suite.Check(t, s.product.AwaitCalled(t.Context(), s.ControlPlane.APIServer))
}

// load writes from several connections until the context ends, and returns the answers.
func load(ctx context.Context, kubelet *suite.Client, node string) []suite.Answer {
	var mu sync.Mutex
	var answers []suite.Answer
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for ctx.Err() == nil {
				a := kubelet.Do(context.WithoutCancel(ctx), suite.AddFinalizer(node))
				mu.Lock()
				answers = append(answers, a)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return answers
}

// awaitRecord waits until there is a record after the first ones.
func (s *environment) awaitRecord(t *testing.T, first int) {
	t.Helper()
	suite.Eventually(t, 10*time.Second, func() error {
		records, err := s.product.Records.Since(first)
		if err == nil && len(records) == 0 {
			err = errors.New("no record yet")
		}
		return err
	})
}

// checkAnswers checks that every write was denied until a moment and refused by the API server afterwards, and that there is a
// record of each denial.
func (s *environment) checkAnswers(t *testing.T, answers []suite.Answer, first int, until, unready time.Time) {
	t.Helper()
	denied, drained := 0, 0
	for _, a := range answers {
		answered := a.Sent.Add(a.Took)
		switch {
		case a.Outcome == suite.Denied:
			denied++
			if a.Sent.After(unready) {
				drained++
			}
		case answered.Before(until) || a.Outcome != suite.Unanswered:
			t.Errorf("answered %s before the end of the shutdown delay: %s", until.Sub(answered), a)
		}
	}
	if drained == 0 {
		t.Error("nothing was denied after the product became unready: it must serve until the delay is over")
	}
	records, err := s.product.Records.Since(first)
	suite.Check(t, err)
	if len(records) != denied {
		t.Errorf("%d records of %d denials", len(records), denied)
	}
	t.Logf("%d writes, %d denied, %d of them after the product became unready", len(answers), denied, drained)
}

// testAway shows what kubelets can write while the product does not answer.
func (s *environment) testAway(t *testing.T, kubelet *suite.Client, node string) {
	cordons := suite.PatchNode(node, `{"spec":{"unschedulable":true}}`)
	annotates := `{"metadata":{"annotations":{"alpha.kubernetes.io/provided-node-ip":"10.0.0.1"}}}`
	for _, test := range []struct {
		name    string
		request suite.Request
		code    int
	}{
		{"a heartbeat passes", suite.Heartbeat(node, time.Now()), http.StatusOK},
		{"an annotation that a kubelet sets itself passes", suite.PatchNodeStatus(node, annotates), http.StatusOK},
		{
			"a label that a kubelet sets itself passes",
			suite.PatchNodeStatus(node, `{"metadata":{"labels":{"kubernetes.io/os":"linux"}}}`), http.StatusOK,
		},
		{"a finalizer is refused", suite.AddFinalizer(node), http.StatusInternalServerError},
		{
			"a foreign label is refused",
			suite.PatchNodeStatus(node, `{"metadata":{"labels":{"example.com/a":""}}}`), http.StatusInternalServerError,
		},
		{"a write to the Node itself is refused", cordons, http.StatusInternalServerError},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := kubelet.Send(t, test.request)
			if a.Code != test.code {
				t.Errorf("got %s, want %d", a, test.code)
			}
		})
	}
	t.Run("a new node registers", func(t *testing.T) {
		a := suite.Kubelet(t, s.ControlPlane.APIServer, "joiner").Send(t, suite.RegisterNode("joiner", nil))
		if a.Code != http.StatusCreated {
			t.Errorf("got %s", a)
		}
	})
}
