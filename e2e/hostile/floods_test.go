// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/load"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
)

// bodySize is almost the largest body that controller-runtime's webhook server reads.
const bodySize = 68 << 20 / 10

// testLargeBodies sends 64 bodies of up to 6.8 MiB at once, with the contents that are most expensive to read and to evaluate.
func (d *listener) testLargeBodies(t *testing.T) {
	const senders = 64
	repeat := func(unit string, size int) string { return strings.Repeat(unit, size/len(unit)) }
	more := func(from, unit, to string) string {
		return forgery("large", node, `,"x":`+from+repeat(unit, bodySize)+to)
	}
	good := forgery("large", node, "")
	numbered := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < bodySize; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	extra := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"%d":[],`, i)
		}
		return b.String()
	}
	conditions := func(n int) string {
		return review("large", node, `{"metadata":{"finalizers":["a"]},"status":{"conditions":[`+strings.Repeat("{},", n)+`{}]}}`)
	}
	for _, test := range []struct{ name, body string }{
		{"a long text", more(`"`, "<", `"`)},
		{"texts", forgery("large", node, `,"x":[`+repeat(`"`+strings.Repeat("<", 60)+`",`, bodySize)+`""]`)},
		{"many numbers", more(`[`, "1,", `1]`)},
		{"many labels", review("large", node, `{"metadata":{"labels":{`+numbered(`"%d":"",`)+`"":""},"finalizers":["a"]}}`)},
		{"long labels", review("large", node, `{"metadata":{"labels":{`+numbered(`"%040d":"",`)+`"":""},"finalizers":["a"]}}`)},
		{
			"long finalizers", review("large", node, `{"metadata":{"finalizers":[`+numbered(`"%060d",`)+`""]}}`),
		},
		{
			"owners", review("large", node, `{"metadata":{"finalizers":["a"],"ownerReferences":[`+
				repeat(`{"kind":"Pod","name":"a","uid":"b"},`, bodySize)+`{}]}}`),
		},
		{"conditions, as many as are read", conditions(190_000)},
		{"conditions in a review of usual size", conditions(20_000)},
		{"many groups of the user", strings.Replace(good, `"groups":[`, `"groups":[`+repeat(`"",`, bodySize), 1)},
		{
			"extra values of the user, as many as are read",
			strings.Replace(good, `"groups":[`, `"extra":{`+extra(200_000)+`"":[]},"groups":[`, 1),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := d.watch(t)
			s := d.sender(t, controlplane.Certificate{})
			counts := &outcomeCounts{}
			var group sync.WaitGroup
			for range senders {
				group.Go(func() { counts.count(s.post(suite.Within(t, 2*time.Minute), "/admit", []byte(test.body))) })
			}
			group.Wait()
			w.end(t)
			counts.check(t, "large", senders)
		})
	}
	d.checkEnforced(t, record.ClientAuthNone)
}

// outcomeCounts counts the outcomes of forged reviews. A policy denies all of them.
type outcomeCounts struct {
	mu       sync.Mutex
	outcomes map[string]int
	allowed  []*reply
}

const (
	deniedOutcome = "denied"
	// lateOutcome is the outcome of a body that does not arrive within five seconds, because the machine is too busy.
	lateOutcome = "late"
)

func (c *outcomeCounts) count(r *reply, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outcomes == nil {
		c.outcomes = map[string]int{}
	}
	switch {
	case err != nil || strings.Contains(r.text, "the body could not be received"):
		c.outcomes[lateOutcome]++
	case r.status != http.StatusOK:
		c.outcomes[fmt.Sprint(r.status)]++
	case r.review == nil || r.review.Response == nil || r.review.Response.UID == "" || r.allowed():
		c.allowed = append(c.allowed, r)
	default:
		c.outcomes[deniedOutcome]++
	}
}

// check checks that each review was denied, or refused with an HTTP error.
func (c *outcomeCounts) check(t *testing.T, what string, want int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.allowed) > 0 {
		t.Errorf("%d were not denied: %s", len(c.allowed), c.allowed[0])
	}
	total := 0
	for outcome, n := range c.outcomes {
		total += n
		if !slices.Contains([]string{deniedOutcome, lateOutcome, "413", "429"}, outcome) {
			t.Errorf("%d were answered with %s", n, outcome)
		}
	}
	if c.outcomes[lateOutcome] == total {
		t.Error("no review was answered")
	}
	t.Logf("%s: %v", what, c.outcomes)
	if total != want {
		t.Errorf("%d of %d were answered", total, want)
	}
}

// testSlowBodies sends bodies a byte at a time.
func (d *listener) testSlowBodies(t *testing.T) {
	const senders = 200
	s := d.sender(t, controlplane.Certificate{})
	w := d.watch(t)
	var group sync.WaitGroup
	for i := range senders {
		conn, err := s.dial(suite.Within(t, time.Minute))
		suite.Check(t, err)
		_, err = fmt.Fprintf(conn, "POST /admit HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
			len(forgery("slow", node, "")))
		suite.Check(t, err)
		group.Go(func() {
			defer conn.Close()
			if err := dribble(conn, forgery("slow", node, "")); err != nil {
				t.Errorf("sender %d: %v", i, err)
			}
		})
	}
	group.Wait()
	w.end(t)
	d.awaitFewConnections(t)
	d.checkEnforced(t, record.ClientAuthNone)
}

// dribble sends a byte a second until the connection is closed or answered. So slow a body must not be evaluated.
func dribble(conn *tls.Conn, body string) error {
	answered := make(chan error, 1)
	go func() {
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			answered <- err
			return
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				answered <- err
				return
			}
			answered <- nil // the connection was closed
			return
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusOK {
			err = errors.New("answered with 200")
		}
		answered <- err
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := range len(body) {
		select {
		case err := <-answered:
			return err
		case <-tick.C:
			// The reader will see an error.
			_, _ = io.WriteString(conn, body[i:i+1])
		}
	}
	return <-answered
}

// testIdleConnections opens many connections, and sends nothing.
func (d *listener) testIdleConnections(t *testing.T) {
	const wanted, dialers, spare = 5000, 16, 500
	var limit syscall.Rlimit
	suite.Check(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	count := min(wanted, max(0, int(min(limit.Cur, 1<<20))-spare))
	s := d.sender(t, controlplane.Certificate{})
	w := d.watch(t)
	ctx := suite.Within(t, 3*time.Minute)
	next := make(chan struct{}, count)
	for range count {
		next <- struct{}{}
	}
	close(next)
	var mu sync.Mutex
	var open []*tls.Conn
	var group sync.WaitGroup
	for range dialers {
		group.Go(func() {
			for range next {
				conn, err := s.dial(ctx)
				if err != nil {
					continue // it was evicted
				}
				mu.Lock()
				open = append(open, conn)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	m, err := d.product.Metrics(t.Context())
	suite.Check(t, err)
	held, evicted := m.Sum("node_restriction_plus_connections"), m.Sum("node_restriction_plus_connections_evicted_total")
	t.Logf("%d connections were opened: %v are held, %v were evicted", len(open), held, evicted)
	if held > maxConnections {
		t.Errorf("%v connections are held, more than %d", held, maxConnections)
	}
	if len(open) < count/2 {
		t.Errorf("only %d of %d connections were opened", len(open), count)
	}
	w.end(t)
	d.checkEnforced(t, record.ClientAuthNone)
	for _, conn := range open {
		_ = conn.NetConn().Close()
	}
	d.awaitFewConnections(t)
}

// maxConnections is the default of --max-connections.
const maxConnections = 1024

// awaitFewConnections waits until the product has only the connections of the API server.
func (d *listener) awaitFewConnections(t *testing.T) {
	t.Helper()
	ctx := suite.Within(t, 2*time.Minute)
	suite.Check(t, d.product.Process().Await(ctx, func(ctx context.Context) error {
		m, err := d.product.Metrics(ctx)
		if err != nil {
			return err
		}
		if n := m.Sum("node_restriction_plus_connections"); n > 64 {
			return fmt.Errorf("%v connections are held", n)
		}
		return nil
	}))
}

// testOverload sends reviews from eight times as many clients as there are slots. Reviews without a slot are refused with an HTTP
// error, to which the failurePolicy applies; they are not allowed.
func (d *listener) testOverload(t *testing.T) {
	const slots, clients, each = 4, 8 * 4, 20
	suite.Check(t, d.product.Stop())
	suite.Check(t, d.product.Run(t.Context(), fmt.Sprintf("--max-requests-in-flight=%d", slots)))
	suite.Check(t, d.product.AwaitCalled(t.Context(), d.ControlPlane.APIServer))
	s := d.sender(t, controlplane.Certificate{})
	body := []byte(forgery("many", node, `,"x":"`+strings.Repeat("<", 900<<10)+`"`))
	w := d.watch(t)
	counts := &outcomeCounts{}
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range each {
				counts.count(s.post(suite.Within(t, 2*time.Minute), "/admit", body))
			}
		})
	}
	group.Wait()
	w.end(t)
	counts.check(t, "many", clients*each)
	d.checkEnforced(t, record.ClientAuthNone)
}

// watch observes the product during an attack: its memory, and whether the writes of the real kubelet are evaluated.
type watch struct {
	stop    context.CancelFunc
	done    sync.WaitGroup
	largest float64 // size of its memory, in MiB
	real    realWrites
}

func (d *listener) watch(t *testing.T) *watch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watch{stop: cancel}
	w.done.Go(func() { w.real.write(ctx, d.kubelet) })
	w.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			mib, err := load.AnonymousMiB(d.product.Process().PID())
			if err != nil {
				t.Errorf("read the product's memory: %v", err)
				return
			}
			w.largest = max(w.largest, mib)
			<-tick.C
		}
	})
	return w
}

// end stops the watch and checks what it observed.
func (w *watch) end(t *testing.T) {
	t.Helper()
	w.stop()
	w.done.Wait()
	t.Logf("memory up to %.0f MiB; the real kubelet: %s", w.largest, suite.Summary(w.real.answers))
	if w.largest > memoryLimit {
		t.Errorf("%.0f MiB of memory, more than %d", w.largest, memoryLimit)
	}
	w.real.check(t)
}
