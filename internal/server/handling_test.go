// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"noderestriction.plus/internal/deadline"
)

// arrived is a request with a timeout that arrived so long ago.
func arrived(t *testing.T, timeout string, ago time.Duration) *body {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/admit?timeout="+timeout, nil)
	return &body{due: deadline.Of(r, time.Now().Add(-ago))}
}

func TestARequestThatDoesNotEndMakesTheServerNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		ready := func(want bool, when string) {
			t.Helper()
			if err := s.CheckRequests(nil); (err == nil) != want {
				t.Errorf("%s: got %v", when, err)
			}
		}
		ready(true, "no request")
		patient, stuck := arrived(t, "30s", 0), arrived(t, "2s", 0)
		s.handling.begin(patient)
		s.handling.begin(stuck)
		time.Sleep(2*time.Second + stuckAfter)
		fresh := arrived(t, "10s", 0)
		s.handling.begin(fresh)
		ready(true, "as long beyond its deadline as it may be")
		time.Sleep(time.Second)
		ready(false, "longer")
		if age := s.handling.age(time.Now()); age != stuckAfter+3*time.Second {
			t.Errorf("the oldest is %s old", age)
		}
		s.handling.end(patient)
		ready(false, "another has ended")
		s.handling.end(stuck)
		ready(true, "it has ended")
		s.handling.end(fresh)
		if age := s.handling.age(time.Now()); age != 0 || s.handling.oldest != nil || s.handling.newest != nil {
			t.Errorf("%s old without a request", age)
		}
	})
}

func TestWaitingForRoomEndsWhileThereIsTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits(32 << 20)
		limits.MaxWait = time.Minute
		full := semaphore.NewWeighted(1)
		if !full.TryAcquire(1) {
			t.Fatal("not even one")
		}
		b := arrived(t, "2s", 0)
		b.ctx, b.room = t.Context(), &room{limits: limits}
		began := time.Now()
		if b.acquire(full, 1) || time.Since(began) != 1600*time.Millisecond {
			t.Errorf("waited for %s, not for 80 %% of 2 s", time.Since(began))
		}
	})
}

func TestSeveralWaitsDoNotOutlastTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits(32 << 20)
		limits.MaxWait = time.Second
		inHand := &handling{}
		registry := prometheus.NewRegistry()
		m := newMetrics(registry, uncertain{}, nil, inHand)
		var handler http.Handler
		block := make(chan struct{})
		limits.MaxInFlight = 1
		handler = limited(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			<-block
		}), limits, m, inHand)
		serve := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/admit?timeout=1s", strings.NewReader("x"))
			handler.ServeHTTP(w, r)
			return w
		}
		done := make(chan struct{})
		go func() { defer close(done); serve() }()
		synctest.Wait()
		began := time.Now()
		if w := serve(); w.Code != http.StatusTooManyRequests || time.Since(began) > 800*time.Millisecond {
			t.Errorf("got %d after %s", w.Code, time.Since(began))
		}
		if age := inHand.age(time.Now()); age != 800*time.Millisecond {
			t.Errorf("the oldest is %s old", age)
		}
		close(block)
		<-done
	})
}

// uncertain is a source of no certificate.
type uncertain struct{ CertificateSource }

func (uncertain) RenewalErrors() uint64 { return 0 }
