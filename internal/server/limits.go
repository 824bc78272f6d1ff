// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"noderestriction.plus/internal/deadline"
)

// smallBody is the maximum size of a body that a stock kubelet's write causes, in bytes. Larger bodies have a separate budget, so
// that they cannot crowd out small ones.
const smallBody = 1 << 20

// firstCharge is what a body is charged for its first byte, in bytes. The charge then doubles like a growing buffer up to
// smallBody, and rises in steps of smallBody after that.
const firstCharge = 4 << 10

// Evaluation takes up to a hundred times the memory of a crafted review. So the bytes that are evaluated at the same time are
// bounded as well: those of usual reviews, and separately those of larger ones, so that they cannot crowd out usual ones. A
// review counts for at most 1 MiB, because the number of values that are decoded is bounded.
const (
	usualBody      = 64 << 10
	evaluatedUsual = 2 << 20
	evaluatedLarge = 2 << 20
)

// maxDrain is how much of a body that is too large is read and dropped, in multiples of the largest body.
const maxDrain = 8

// Limits bound what clients can make the server hold.
type Limits struct {
	// MaxConnections is the maximum number of open connections.
	MaxConnections int
	// MaxInFlight is the maximum number of requests that are handled at a time, counted from when their body has arrived.
	MaxInFlight int
	// MaxBodyBytes is the maximum size of a body, in bytes. It is the only place where handlers' bodies are bounded.
	MaxBodyBytes int64
	// MaxBodyBytesInFlight is the maximum number of bytes of bodies that are held at a time over all requests. Half of it is
	// for bodies of up to 1 MiB, half for larger ones.
	MaxBodyBytesInFlight int64
	// MaxWait is how long a request waits if there is no room, as long as it can still be evaluated in time.
	MaxWait time.Duration
}

// DefaultLimits returns limits for a process with 512 MiB of memory whose handlers take bodies of up to maxBodyBytes.
func DefaultLimits(maxBodyBytes int64) Limits {
	return Limits{
		MaxConnections:       1024,
		MaxInFlight:          256,
		MaxBodyBytes:         maxBodyBytes,
		MaxBodyBytesInFlight: 4 * maxBodyBytes,
		MaxWait:              500 * time.Millisecond,
	}
}

func (l Limits) validate() error {
	switch {
	case l.MaxConnections < 1:
		return errors.New("the maximum of connections must be at least 1")
	case l.MaxInFlight < 1:
		return errors.New("the maximum of requests in flight must be at least 1")
	case l.MaxBodyBytes < smallBody:
		return fmt.Errorf("the maximum of bytes of a body must be at least %d", smallBody)
	case l.MaxBodyBytesInFlight < 2*l.MaxBodyBytes:
		return fmt.Errorf("the maximum of bytes in flight must be at least %d, twice the largest body", 2*l.MaxBodyBytes)
	}
	return nil
}

// BusyError is the error of reading a body for which there is no room. It is an outage that the operator must notice, so it
// must become an HTTP error, never a verdict.
type BusyError struct {
	What string // what has run out, such as "requests in flight"
}

func (e *BusyError) Error() string { return "too many " + e.What }

// StatusCode is the HTTP status for the client.
func (e *BusyError) StatusCode() int { return http.StatusTooManyRequests }

// room is the shared part of the limits.
type room struct {
	limits   Limits
	metrics  *metrics
	small    *semaphore.Weighted
	large    *semaphore.Weighted
	inFlight *semaphore.Weighted
	// evaluatedUsual and evaluatedLarge are the budgets for the bytes of the requests in flight.
	evaluatedUsual, evaluatedLarge *semaphore.Weighted
}

// limited gives a handler bodies that are charged as they arrive and released when the handler returns. Bytes that were
// announced and not sent cost nothing.
//
// Reading such a body fails with a [BusyError] if it has ordinary size and there is no room, and with an
// [http.MaxBytesError] if it is too large, for the limit or for the room left for large ones: an attacker can send a large
// body, so it must be a denial and not an outage. The handler has read at least the first 1 MiB by then.
func limited(next http.Handler, limits Limits, m *metrics, inFlight *handling) http.Handler {
	rm := &room{
		limits:   limits,
		metrics:  m,
		small:    semaphore.NewWeighted(limits.MaxBodyBytesInFlight / 2),
		large:    semaphore.NewWeighted(limits.MaxBodyBytesInFlight / 2),
		inFlight: semaphore.NewWeighted(int64(limits.MaxInFlight)),

		evaluatedUsual: semaphore.NewWeighted(evaluatedUsual),
		evaluatedLarge: semaphore.NewWeighted(evaluatedLarge),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		due := deadline.Of(r, time.Now())
		// If these fail, the connection is closed already.
		controller := http.NewResponseController(w)
		_ = controller.SetReadDeadline(earlier(due.Due(), due.Arrived().Add(bodyTimeout)))
		_ = controller.SetWriteDeadline(due.Due().Add(writeTimeout))
		sent := r.Body
		body := &body{ReadCloser: sent, ctx: r.Context(), room: rm, budget: rm.small, limit: limits.MaxBodyBytes, due: due}
		if r.ContentLength > limits.MaxBodyBytes {
			body.limit = smallBody // the rest would be dropped
		}
		inFlight.begin(body)
		defer inFlight.end(body)
		defer body.release()
		r.Body = body
		next.ServeHTTP(w, r)
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(body.err, &tooLarge) {
			// A sender that is cut off while it writes may never read its answer, and would treat the denial as an outage.
			_, _ = io.CopyN(io.Discard, sent, maxDrain*limits.MaxBodyBytes)
		}
	})
}

// body is a request body whose bytes are charged. The handler must not read it after it has returned.
type body struct {
	io.ReadCloser
	ctx     context.Context
	room    *room
	budget  *semaphore.Weighted
	limit   int64 // maximum size, in bytes
	read    int64
	charged int64
	counted bool  // among the requests in flight
	weight  int64 // bytes in the budget for evaluation
	err     error // of all further reads

	due          deadline.Deadline
	older, newer *body // in the order of arrival; guarded by handling.mu
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if full := b.charge(); full != nil {
		err = full
	} else if errors.Is(err, io.EOF) {
		if full := b.count(); full != nil {
			err = full
		}
	}
	b.err = err
	return n, err
}

// charge takes room for the bytes that were read.
func (b *body) charge() error {
	if b.read > b.limit {
		return &http.MaxBytesError{Limit: b.limit}
	}
	for b.read > b.charged {
		if err := b.chargeStep(); err != nil {
			return err
		}
	}
	return nil
}

func (b *body) chargeStep() error {
	switch {
	case b.charged < smallBody:
		step := max(firstCharge, b.charged)
		if !b.acquire(b.room.small, step) {
			b.room.metrics.shed.WithLabelValues("bytes").Inc()
			return &BusyError{"bytes of requests in flight"}
		}
		b.charged += step
	case b.budget == b.room.small:
		if !b.acquire(b.room.large, 2*smallBody) {
			return b.tooLarge()
		}
		b.room.small.Release(b.charged)
		b.budget, b.charged = b.room.large, 2*smallBody
	default:
		if !b.acquire(b.room.large, smallBody) {
			return b.tooLarge()
		}
		b.charged += smallBody
	}
	return nil
}

func (b *body) tooLarge() error {
	b.room.metrics.shed.WithLabelValues("large-bytes").Inc()
	return &http.MaxBytesError{Limit: b.charged}
}

// count takes room for evaluation and a slot among the requests in flight, once the body has arrived: a client that sends
// slowly takes none. A request that waits for evaluation takes no slot that another could use.
func (b *body) count() error {
	if b.counted {
		return nil
	}
	weight := min(b.read, smallBody)
	if !b.acquire(b.evaluation(), weight) {
		if b.read > smallBody {
			return b.tooLarge()
		}
		return b.room.busy()
	}
	b.weight = weight
	if !b.acquire(b.room.inFlight, 1) {
		return b.room.busy()
	}
	b.counted = true
	return nil
}

// evaluation returns the budget for the evaluation of the body, once it has arrived.
func (b *body) evaluation() *semaphore.Weighted {
	if b.read > usualBody {
		return b.room.evaluatedLarge
	}
	return b.room.evaluatedUsual
}

func (b *body) release() {
	b.evaluation().Release(b.weight)
	b.budget.Release(b.charged)
	if b.counted {
		b.room.inFlight.Release(1)
	}
}

func (rm *room) busy() error {
	rm.metrics.shed.WithLabelValues("requests").Inc()
	return &BusyError{"requests in flight"}
}

// acquire waits for room as long as the limits allow, and only while there is still time to evaluate.
func (b *body) acquire(s *semaphore.Weighted, n int64) bool {
	if s.TryAcquire(n) {
		return true
	}
	until := earlier(time.Now().Add(b.room.limits.MaxWait), b.due.Last())
	ctx, cancel := context.WithDeadline(b.ctx, until)
	defer cancel()
	return s.Acquire(ctx, n) == nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
