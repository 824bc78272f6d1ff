// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// outcome is a write under load: when it was sent and answered, and how.
type outcome struct {
	sent, answered time.Time
	denied         bool // by us
	text           string
}

// testRestart ends the product under load. What it has accepted it answers, what it has denied it has recorded; and
// while it is away, kubelets live on.
func (s *suite) testRestart(t *testing.T) {
	const node, delay = "restarter", 2 * time.Second
	s.denyFinalizers(t, "restart", node)
	s.createNode(t, node)
	config, err := s.stock.Kubelet(node)
	kubelet := newCaller(t, config, err)
	check(t, s.product.Stop())
	check(t, s.product.Run(t.Context(), "--shutdown-delay="+delay.String()))
	first, err := s.product.Records.Len()
	check(t, err)

	loaded, endLoad := context.WithCancel(t.Context())
	outcomes := make(chan []outcome)
	go func() { outcomes <- load(loaded, kubelet, node) }()
	s.awaitRecord(t, first)
	signalled := time.Now()
	check(t, s.product.Process().Signal(syscall.SIGTERM))
	for s.product.Ready(t.Context()) == nil {
		if time.Since(signalled) > delay {
			t.Fatal("the product still says that it is ready")
		}
	}
	unready := time.Now()
	if err := s.product.Process().Wait(within(t, time.Minute)); err != nil {
		t.Errorf("the product did not end well: %v", err)
	}
	ended := time.Now()
	endLoad()
	s.checkOutcomes(t, <-outcomes, first, signalled.Add(delay), unready)
	if lasted := ended.Sub(signalled); lasted < delay {
		t.Errorf("the product ended after %s, within its shutdown delay", lasted)
	}
	t.Run("while it is away", func(t *testing.T) { s.testAway(t, kubelet, node) })
	check(t, s.product.Run(t.Context()))
	check(t, s.product.AwaitCalled(t.Context(), s.stock.APIServer))
}

// load writes from several connections until the context ends.
func load(ctx context.Context, kubelet caller, node string) []outcome {
	var mu sync.Mutex
	var outcomes []outcome
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for ctx.Err() == nil {
				o := outcome{sent: time.Now()}
				a, err := kubelet.do(context.WithoutCancel(ctx), patchStatus(node, addsFinalizer))
				if err != nil {
					o.text = err.Error()
				} else {
					_, message := a.deniedBy()
					o.denied, o.text = a.code == http.StatusForbidden && message != "", a.String()
				}
				o.answered = time.Now()
				mu.Lock()
				outcomes = append(outcomes, o)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return outcomes
}

// awaitRecord waits until there is a record after the first ones.
func (s *suite) awaitRecord(t *testing.T, first int) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		records, err := s.product.Records.Since(first)
		if err == nil && len(records) == 0 {
			err = errors.New("no record yet")
		}
		return err
	})
}

// checkOutcomes checks that up to a moment every write was denied by us, that afterwards it was refused by the API
// server, and that there is a record of each denial.
func (s *suite) checkOutcomes(t *testing.T, outcomes []outcome, first int, until, unready time.Time) {
	t.Helper()
	denied, drained := 0, 0
	for _, o := range outcomes {
		switch {
		case o.denied:
			denied++
			if o.sent.After(unready) {
				drained++
			}
		case o.answered.Before(until) || !strings.Contains(o.text, "failed calling webhook"):
			t.Errorf("answered %s before the end of the shutdown delay: %s", until.Sub(o.answered), o.text)
		}
	}
	if drained == 0 {
		t.Error("nothing was denied after readiness was gone: the product should go on until the delay is over")
	}
	records, err := s.product.Records.Since(first)
	check(t, err)
	if len(records) != denied {
		t.Errorf("%d records of %d denials", len(records), denied)
	}
	t.Logf("%d writes, %d denied, %d of them after readiness was gone", len(outcomes), denied, drained)
}

// testAway shows what kubelets can write while nobody answers for us.
func (s *suite) testAway(t *testing.T, kubelet caller, node string) {
	beat := toJSON(t, map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(),
	}}}})
	heartbeat := patchStatus(node, string(beat))
	heartbeat.contentType = mediaStrategic
	cordons := patchStatus(node, `{"spec":{"unschedulable":true}}`)
	cordons.path = strings.TrimSuffix(cordons.path, "/status")
	annotates := `{"metadata":{"annotations":{"alpha.kubernetes.io/provided-node-ip":"10.0.0.1"}}}`
	for _, test := range []struct {
		name    string
		request call
		code    int
	}{
		{"a heartbeat passes", heartbeat, http.StatusOK},
		{"an annotation of the kubelet's own passes", patchStatus(node, annotates), http.StatusOK},
		{
			"a label of the kubelet's own passes",
			patchStatus(node, `{"metadata":{"labels":{"kubernetes.io/os":"linux"}}}`), http.StatusOK,
		},
		{"a finalizer is refused", patchStatus(node, addsFinalizer), http.StatusInternalServerError},
		{
			"a foreign label is refused",
			patchStatus(node, `{"metadata":{"labels":{"example.com/a":""}}}`), http.StatusInternalServerError,
		},
		{"a write to the Node itself is refused", cordons, http.StatusInternalServerError},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, err := kubelet.do(t.Context(), test.request)
			check(t, err)
			if a.code != test.code {
				t.Errorf("got %s, want %d", a, test.code)
			}
		})
	}
	t.Run("a new node registers", func(t *testing.T) {
		config, err := s.stock.Kubelet("joiner")
		a, err := newCaller(t, config, err).do(t.Context(), call{
			method: http.MethodPost, path: "/api/v1/nodes", contentType: mediaJSON,
			body: []byte(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"joiner"}}`),
		})
		check(t, err)
		if a.code != http.StatusCreated {
			t.Errorf("got %s", a)
		}
	})
}
