// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// smallLimits are limits that tests can reach: room for 8 small bodies of 1 MiB and for 8 MiB of larger ones.
func smallLimits(_ *rig, o *Options) {
	o.Limits.MaxBodyBytes = 8 << 20
	o.Limits.MaxBodyBytesInFlight = 16 << 20
	o.Limits.MaxWait = 50 * time.Millisecond
}

// held is a request whose body has been sent up to its last byte, so that its bytes are in flight.
type held struct {
	writer *io.PipeWriter
	code   chan int
}

// received counts the bytes that a handler has read.
type received struct {
	atomic.Int64
}

// count wraps a handler.
func (c *received) count(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(io.TeeReader(r.Body, c))
		next(w, r)
	}
}

// Write implements io.Writer.
func (c *received) Write(p []byte) (int, error) {
	c.Add(int64(len(p)))
	return len(p), nil
}

// hold sends a body of n bytes except the last one, and returns when the handler has them.
func (r *rig) hold(t *testing.T, handler *received, n int) *held {
	t.Helper()
	want := handler.Load() + int64(n) - 1
	reader, writer := io.Pipe()
	h := &held{writer: writer, code: make(chan int, 1)}
	client := r.client(t)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url(), reader)
		if err != nil {
			h.code <- 0
			return
		}
		request.ContentLength = int64(n)
		response, err := client.Do(request)
		if err != nil {
			h.code <- 0
			return
		}
		response.Body.Close()
		h.code <- response.StatusCode
	}()
	if _, err := writer.Write(bytes.Repeat([]byte{'x'}, n-1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the handler has the body", func() bool { return handler.Load() == want })
	return h
}

// finish sends the last byte and returns the status of the answer.
func (h *held) finish() int {
	// If the server has answered already, there is no reader for it.
	_, _ = h.writer.Write([]byte{'x'})
	_ = h.writer.Close()
	return <-h.code
}

func TestBodies(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), smallLimits)
	client := r.client(t)
	for _, test := range []struct {
		name string
		size int
		want int
	}{
		{"an empty body passes", 0, 200},
		{"a usual body passes", 31 << 10, 200},
		{"a large body passes", 7 << 20, 200},
		{"a body at the limit passes", 8 << 20, 200},
		{"a body over the limit is too large", 8<<20 + 1, 413},
		{"the sender of a body far over the limit reads its answer", 40 << 20, 413},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, announced := range []bool{true, false} {
				var body io.Reader = bytes.NewReader(make([]byte, test.size))
				if !announced {
					body = io.MultiReader(body) // of a length that the client does not know
				}
				if code, _ := post(t, client, r.url(), body); code != test.want {
					t.Errorf("length announced %v: got %d", announced, code)
				}
			}
		})
	}
}

func TestLargeBodiesAreDeniedAndDoNotCrowdOutSmallOnes(t *testing.T) {
	handler := &received{}
	r := start(t, handler.count(echo), smallLimits)
	client := r.client(t)
	first := r.hold(t, handler, 7<<20)
	if code, _ := post(t, client, r.url(), bytes.NewReader(make([]byte, 4<<20))); code != 413 {
		t.Errorf("a large body without room was answered with %d", code)
	}
	if code, _ := post(t, client, r.url(), strings.NewReader("{}")); code != 200 {
		t.Errorf("a small body was answered with %d", code)
	}
	if code := first.finish(); code != 200 {
		t.Errorf("the large body was answered with %d", code)
	}
	if code, _ := post(t, client, r.url(), bytes.NewReader(make([]byte, 4<<20))); code != 200 {
		t.Errorf("the next large body was answered with %d", code)
	}
}

func TestSmallBodiesBeyondTheBudgetAreShed(t *testing.T) {
	handler := &received{}
	r := start(t, handler.count(echo), smallLimits)
	client := r.client(t)
	var all []*held
	for range 8 {
		all = append(all, r.hold(t, handler, 1<<20))
	}
	if code, _ := post(t, client, r.url(), strings.NewReader("{}")); code != 429 {
		t.Errorf("a body beyond the budget was answered with %d", code)
	}
	if r.metric(t, "node_restriction_plus_requests_shed_total") == 0 {
		t.Error("what was shed is not counted")
	}
	for _, h := range all {
		if code := h.finish(); code != 200 {
			t.Errorf("a body within the budget was answered with %d", code)
		}
	}
	if code, _ := post(t, client, r.url(), strings.NewReader("{}")); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}

func TestAnnouncedBytesCostNothing(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), smallLimits)
	for range 16 {
		conn := r.dial(t)
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nx", 8<<20)
	}
	if code, _ := post(t, r.client(t), r.url(), bytes.NewReader(make([]byte, 7<<20))); code != 200 {
		t.Errorf("got %d", code)
	}
}

func TestSlowBodiesAreCutAndTakeNoPlace(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), smallLimits, func(_ *rig, o *Options) { o.Limits.MaxInFlight = 1 })
	var slow []*tls.Conn
	for range 8 {
		conn := r.dial(t)
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		slow = append(slow, conn)
	}
	if code, _ := post(t, r.client(t), r.url(), strings.NewReader("{}")); code != 200 {
		t.Errorf("got %d while others send slowly", code)
	}
	for _, conn := range slow {
		if err := conn.SetReadDeadline(time.Now().Add(3 * bodyTimeout)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil {
			t.Errorf("the connection of a slow client is still open: %v, got %q", err, answer)
		}
	}
}

func TestRequestsInFlightAreCapped(t *testing.T) {
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		echo(w, r)
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-leave
		}
	}), smallLimits, func(_ *rig, o *Options) { o.Limits.MaxInFlight = 2 })
	var slow sync.WaitGroup
	for range 2 {
		slow.Go(func() {
			response, err := r.client(t).Post(r.url()+"/slow", "application/json", strings.NewReader("{}"))
			if err == nil {
				response.Body.Close()
			}
		})
		<-entered
	}
	client := r.client(t)
	began := time.Now()
	code, answer := post(t, client, r.url(), strings.NewReader("{}"))
	if code != 429 || !strings.Contains(answer, "in flight") {
		t.Errorf("got %d %q", code, answer)
	}
	if since := time.Since(began); since < 50*time.Millisecond {
		t.Errorf("the request was shed after %s without waiting", since)
	}
	close(leave)
	slow.Wait()
	if code, _ := post(t, client, r.url(), strings.NewReader("{}")); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}

func TestLargerBodiesHaveASeparateBudgetForEvaluation(t *testing.T) {
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		echo(w, r)
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-leave
		}
	}), smallLimits)
	client := r.client(t)
	var slow sync.WaitGroup
	for range evaluatedLarge / smallBody {
		slow.Go(func() {
			response, err := client.Post(r.url()+"/slow", "application/json", bytes.NewReader(make([]byte, 2<<20)))
			if err != nil {
				t.Errorf("a request in evaluation is not answered: %v", err)
				return
			}
			response.Body.Close()
		})
		<-entered
	}
	for name, test := range map[string]struct{ size, want int }{
		"a usual one":      {usualBody, 200},
		"a larger one":     {usualBody + 1, 429},
		"a very large one": {2 << 20, 413},
	} {
		if code, _ := post(t, client, r.url(), bytes.NewReader(make([]byte, test.size))); code != test.want {
			t.Errorf("%s: got %d, want %d", name, code, test.want)
		}
	}
	close(leave)
	slow.Wait()
	if code, _ := post(t, client, r.url(), bytes.NewReader(make([]byte, 2<<20))); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}

// TestOverloadIsShedBeforeTheSlotsAreFree has eight times as many clients as there are slots, and no slot becomes free: requests
// without a slot are still refused, so that no client waits for as long as others take.
func TestOverloadIsShedBeforeTheSlotsAreFree(t *testing.T) {
	const slots = 4
	leave := make(chan struct{})
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		<-leave
	}), smallLimits, func(_ *rig, o *Options) { o.Limits.MaxInFlight = slots })
	client := r.client(t)
	codes := make(chan int, 8*slots)
	for range 8 * slots {
		go func() {
			response, err := client.Post(r.url(), "application/json", strings.NewReader("{}"))
			if err != nil {
				codes <- 0
				return
			}
			response.Body.Close()
			codes <- response.StatusCode
		}()
	}
	for range 7 * slots {
		if code := <-codes; code != http.StatusTooManyRequests {
			t.Errorf("what there is no slot for was answered with %d", code)
		}
	}
	close(leave)
	for range slots {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("a request with a slot was answered with %d", code)
		}
	}
	if shed := r.metric(t, "node_restriction_plus_requests_shed_total"); shed != 7*slots {
		t.Errorf("%v are counted as shed", shed)
	}
}

// dial opens a connection by hand, for clients that misbehave.
func (r *rig) dial(t *testing.T) *tls.Conn {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(r.ca.cert)
	conn, err := tls.Dial("tcp", r.Address().String(), &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
