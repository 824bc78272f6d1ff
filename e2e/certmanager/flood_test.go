// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certmanager_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"noderestriction.plus/e2e/cluster"
)

// ownAnnotation is a write to the Node itself that a kubelet may make, and that the API server asks about with Fail.
func ownAnnotation() suite.Request {
	return suite.Request{
		Method: http.MethodPatch, Path: "/api/v1/nodes/" + node, Type: "application/merge-patch+json",
		Body: `{"metadata":{"annotations":{"volumes.kubernetes.io/controller-managed-attach-detach":"true"}}}`,
	}
}

// flood is a kubelet that writes what is denied and what is allowed, from several connections, while the API server is
// made to connect with the product anew twice a second.
type flood struct {
	stop     func()
	timeouts map[string]int32 // those of the chart by webhook, where the product is given more time to answer

	mu       sync.Mutex
	writes   int
	late     int            // answers of the product that came too late
	failed   map[string]int // by what the answer was
	connects int
}

// startPatientFlood gives the product more time to answer until the flood ends: what fails then fails because of
// certificates, and not because the machine has more to do than it can.
func (s *setup) startPatientFlood(t *testing.T) *flood {
	t.Helper()
	timeouts := map[string]int32{}
	suite.Check(t, s.changeConfiguration(t.Context(), func(w *admissionregistrationv1.ValidatingWebhook) {
		timeouts[w.Name] = *w.TimeoutSeconds
		w.TimeoutSeconds = new(int32(10))
	}))
	return s.flood(t, timeouts)
}

// startFlood leaves the timeouts as they are, so that Helm finds them as it has set them. What is answered too late does
// not count.
func (s *setup) startFlood(t *testing.T) *flood {
	t.Helper()
	return s.flood(t, nil)
}

func (s *setup) flood(t *testing.T, timeouts map[string]int32) *flood {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &flood{timeouts: timeouts, failed: map[string]int{}}
	var group sync.WaitGroup
	f.stop = func() {
		cancel()
		group.Wait()
	}
	t.Cleanup(f.stop)
	for client := range 4 {
		write, want := suite.AddFinalizer(node), suite.Denied
		if client%2 == 1 {
			write, want = ownAnnotation(), suite.Allowed
		}
		group.Go(func() {
			for pace := time.NewTicker(40 * time.Millisecond); ctx.Err() == nil; <-pace.C {
				f.add(s.kubelet.Do(context.WithoutCancel(ctx), write), want)
			}
		})
	}
	group.Go(func() {
		for pace := time.NewTicker(500 * time.Millisecond); ctx.Err() == nil; <-pace.C {
			if err := s.reconnect(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("cannot have the API server connect anew: %v", err)
			}
			f.mu.Lock()
			f.connects++
			f.mu.Unlock()
		}
	})
	return f
}

func (f *flood) add(a suite.Answer, want suite.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	switch {
	case a.Outcome == want:
	case f.timeouts == nil && strings.Contains(a.Text, "deadline exceeded"):
		f.late++
	default:
		f.failed[fmt.Sprintf("%s, want %s: %s", a.Outcome, want, a.Text)]++
	}
}

// awaitConnects waits until the API server was made to connect anew so many times more.
func (f *flood) awaitConnects(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.connects
	}
	first := count()
	eventually(t, func() error {
		if got := count() - first; got < n {
			return fmt.Errorf("it was made to connect %d times, want %d", got, n)
		}
		return nil
	})
}

// end ends it and fails the test if a write was not answered as the product answers it.
func (s *setup) endFlood(t *testing.T, f *flood) {
	t.Helper()
	f.awaitConnects(t, 4)
	f.stop()
	for text, n := range f.failed {
		t.Errorf("%d writes: %s", n, text)
	}
	t.Logf("%d writes, %d of them answered late, while the API server was made to connect anew %d times",
		f.writes, f.late, f.connects)
	if f.timeouts == nil {
		return
	}
	suite.Check(t, s.changeConfiguration(t.Context(), func(w *admissionregistrationv1.ValidatingWebhook) {
		if seconds, found := f.timeouts[w.Name]; found {
			w.TimeoutSeconds = &seconds
		}
	}))
}

// reconnect has the API server open new connections: it keeps them for as long as a webhook's bundle stays the same to
// the byte. cainjector takes the empty line out again, which has it connect once more.
func (s *setup) reconnect(ctx context.Context) error {
	return s.changeConfiguration(ctx, func(w *admissionregistrationv1.ValidatingWebhook) {
		w.ClientConfig.CABundle = append(slices.Clone(w.ClientConfig.CABundle), '\n')
	})
}

// changeConfiguration changes every webhook. Others may change them at the same time.
func (s *setup) changeConfiguration(
	ctx context.Context, change func(*admissionregistrationv1.ValidatingWebhook),
) error {
	configurations := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		c, err := configurations.Get(ctx, cluster.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for i := range c.Webhooks {
			change(&c.Webhooks[i])
		}
		_, err = configurations.Update(ctx, c, metav1.UpdateOptions{})
		return err
	})
}
