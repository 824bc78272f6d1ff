// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/prometheus/client_golang/prometheus"
)

func TestDrainEndsWhenNothingArrives(t *testing.T) {
	const delay = 10 * time.Second
	for _, test := range []struct {
		name  string
		delay time.Duration
		every time.Duration // between two arrivals
		until time.Duration // the last arrival
		state http.ConnState
		want  time.Duration
	}{
		{name: "without requests it is the delay", delay: delay, want: delay},
		{name: "without a delay it is immediate"},
		{
			name: "requests early in the delay prolong nothing", delay: delay,
			every: time.Second, until: 4 * time.Second, state: http.StateActive, want: delay,
		},
		{
			name: "after a request late in the delay it is quiet for five seconds", delay: delay,
			every: time.Second, until: 9 * time.Second, state: http.StateActive, want: 14 * time.Second,
		},
		{
			name: "it continues while requests arrive", delay: delay,
			every: 4 * time.Second, until: 20 * time.Second, state: http.StateActive, want: 25 * time.Second,
		},
		{
			name: "it continues while connections are opened", delay: delay,
			every: 4 * time.Second, until: 20 * time.Second, state: http.StateNew, want: 25 * time.Second,
		},
		{
			name: "it does not continue for ever", delay: delay,
			every: time.Second, until: time.Hour, state: http.StateActive, want: 30 * time.Second,
		},
		{
			name: "it continues for at most twice a short delay", delay: time.Second,
			every: 10 * time.Millisecond, until: time.Hour, state: http.StateActive, want: 3 * time.Second,
		},
		{
			name: "connections that become idle or are closed prolong nothing", delay: delay,
			every: time.Second, until: time.Hour, state: http.StateIdle, want: delay,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := New(Options{
					Certificates: &Certificates{}, Limits: DefaultLimits(32 << 20), ShutdownDelay: test.delay,
					Log: testr.New(t), Registerer: prometheus.NewRegistry(),
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				began := time.Now()
				if test.every > 0 {
					conn := &net.TCPConn{}
					s.connections.changed(conn, http.StateNew)
					go arrive(ctx, test.every, test.until, func() { s.connections.changed(conn, test.state) })
				}
				s.drain(ctx)
				cancel()
				if took := time.Since(began); took < test.want || took > test.want+drainInterval {
					t.Errorf("it took %s, want %s", took, test.want)
				}
			})
		})
	}
}

// arrive calls at an interval until a time is over or the context ends.
func arrive(ctx context.Context, every, until time.Duration, call func()) {
	for began := time.Now(); time.Since(began)+every <= until; {
		select {
		case <-time.After(every):
			call()
		case <-ctx.Done():
			return
		}
	}
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		arrivals []uint64 // at each check
		want     time.Duration
	}{
		{"without a check it is not quiet", nil, 0},
		{"each check without an arrival counts", []uint64{5, 5, 5}, 3 * drainInterval},
		{"an arrival ends it", []uint64{5, 5, 6}, 0},
		{"it begins after the latest arrival", []uint64{6, 7, 7, 7}, 2 * drainInterval},
	} {
		q := quiet{arrived: 5}
		for _, n := range test.arrivals {
			q.check(n)
		}
		if got := q.duration(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestDrainEndsWhenTheServerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{
			Certificates: &Certificates{}, Limits: DefaultLimits(32 << 20), ShutdownDelay: time.Minute,
			Log: testr.New(t), Registerer: prometheus.NewRegistry(),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		s.drain(ctx)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// TestNoRequestFailsThoughTheEndpointIsRemovedLate ends one of two replicas while an API server sends to both over the
// connections of its pool, and opens new ones to the ended replica until after the shutdown delay.
func TestNoRequestFailsThoughTheEndpointIsRemovedLate(t *testing.T) {
	const delay, pooled, senders = 2 * time.Second, 25, 8
	fill := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fill" {
			<-fill
		}
		echo(w, r)
	})
	ends := start(t, handler, func(_ *rig, o *Options) { o.ShutdownDelay = delay })
	stays := start(t, handler)
	var removed atomic.Bool
	var dials atomic.Uint64
	client := ends.client(t, func(c *tls.Config) {
		c.RootCAs.AddCert(stays.ca.cert)
	})
	transport := client.Transport.(*http.Transport)
	transport.MaxIdleConnsPerHost = pooled
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		to := ends
		if removed.Load() || dials.Add(1)%2 == 0 {
			to = stays
		}
		return new(net.Dialer).DialContext(ctx, network, to.Address().String())
	}
	send := func(path string) {
		response, err := client.Post(ends.url()+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Errorf("a request failed: %v", err)
			return
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("a request was answered with %d", response.StatusCode)
		}
	}

	var filling sync.WaitGroup
	for range pooled {
		filling.Go(func() { send("/fill") })
	}
	eventually(t, "the pool is filled", func() bool { return dials.Load() == pooled })
	close(fill)
	filling.Wait()

	ctx, stop := context.WithCancel(t.Context())
	var sent atomic.Uint64
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for ; ctx.Err() == nil; sent.Add(1) {
				send("/")
			}
		})
	}
	ends.end()
	eventually(t, "it drains", func() bool { return ends.Check(nil) != nil })
	<-time.After(delay + delay/4)
	removed.Store(true)
	if err := ends.wait(t); err != nil {
		t.Errorf("the replica ended with an error: %v", err)
	}
	stop()
	sending.Wait()
	t.Logf("%d requests", sent.Load())
}
