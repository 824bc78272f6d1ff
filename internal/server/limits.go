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

// smallBody is up to where a body counts as one that a stock kubelet's write can cause, in bytes. Larger ones have a
// budget of their own, so that they cannot crowd out the others.
const smallBody = 1 << 20

// firstCharge is what a body costs as soon as its first byte is there. From there the charge doubles like a buffer that
// grows, up to smallBody, and then rises in steps of that.
const firstCharge = 4 << 10

// Judging takes up to a hundred times the memory of what is judged, if that is made for it. So the bytes that are judged at
// the same time are bounded as well: those of usual reviews, and apart from them, so that they cannot crowd them out, those
// of larger ones, of which each counts for 1 MiB at most since the number of values that are decoded of one is bounded.
const (
	usualBody   = 64 << 10
	judgedUsual = 2 << 20
	judgedLarge = 2 << 20
)

// maxDrain is how many times the largest body is read and dropped of one that is too large.
const maxDrain = 8

// Limits bound what clients can make the server hold.
type Limits struct {
	// MaxConnections is how many connections are open at most.
	MaxConnections int
	// MaxInFlight is how many requests are handled at the same time, counted from when their body is there.
	MaxInFlight int
	// MaxBodyBytes is the size of the largest body.
	MaxBodyBytes int64
	// MaxBodyBytesInFlight is how many bytes of bodies are held at the same time over all requests. Half of it is for
	// bodies of up to 1 MiB, half for larger ones.
	MaxBodyBytesInFlight int64
	// MaxWait is how long a request waits where there is no room, as long as it can still be evaluated in time.
	MaxWait time.Duration
}

// DefaultLimits are limits for a process with 512 MiB of memory.
func DefaultLimits() Limits {
	return Limits{
		MaxConnections: 1024,
		MaxInFlight:    256,
		// An API server sends an object of up to 3 MiB and a stored one of up to 1.5 MiB, of which JSON may write each byte
		// as six: 27 MiB.
		MaxBodyBytes:         32 << 20,
		MaxBodyBytesInFlight: 128 << 20,
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

// BusyError is what reading a body fails with when there is no room for it among the others. It is an outage for the
// operator to see, so it must become an HTTP error, never a verdict.
type BusyError struct {
	What string // what there is too much of
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
	// judgedUsual and judgedLarge are for the bytes of the requests in flight.
	judgedUsual, judgedLarge *semaphore.Weighted
}

// limited gives a handler bodies that take their room as they arrive and leave it when the handler returns. Bytes
// that were announced and not sent cost nothing.
//
// Reading such a body fails with a [BusyError] if it is of ordinary size and there is no room, and with an
// [http.MaxBytesError] if it is too large, be it for the limit or for the room left for large ones: a large body is
// what an attacker can send, so it must not be an outage but a denial.
func limited(next http.Handler, limits Limits, m *metrics, inHand *handling) http.Handler {
	rm := &room{
		limits:   limits,
		metrics:  m,
		small:    semaphore.NewWeighted(limits.MaxBodyBytesInFlight / 2),
		large:    semaphore.NewWeighted(limits.MaxBodyBytesInFlight / 2),
		inFlight: semaphore.NewWeighted(int64(limits.MaxInFlight)),

		judgedUsual: semaphore.NewWeighted(judgedUsual),
		judgedLarge: semaphore.NewWeighted(judgedLarge),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		due := deadline.Of(r, time.Now())
		// A connection that these fail for is closed already.
		controller := http.NewResponseController(w)
		_ = controller.SetReadDeadline(earlier(due.Due(), due.Arrived().Add(bodyTimeout)))
		_ = controller.SetWriteDeadline(due.Due().Add(writeTimeout))
		sent := r.Body
		body := &body{ReadCloser: sent, ctx: r.Context(), room: rm, budget: rm.small, due: due}
		inHand.begin(body)
		defer inHand.end(body)
		defer body.release()
		r.Body = body
		next.ServeHTTP(w, r)
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(body.err, &tooLarge) {
			// A sender that is cut off while it writes may never read its answer, and take the denial for an outage.
			_, _ = io.CopyN(io.Discard, sent, maxDrain*limits.MaxBodyBytes)
		}
	})
}

// body is a request body that is charged for what it holds. The handler must not read it after it has returned.
type body struct {
	io.ReadCloser
	ctx     context.Context
	room    *room
	budget  *semaphore.Weighted
	read    int64
	charged int64
	counted bool  // among the requests in flight
	judged  int64 // bytes that are judged
	err     error // what all further reads fail with

	due          deadline.Deadline
	older, newer *body // by when they arrived; guarded by the mu of handling
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

// charge takes room for what was read.
func (b *body) charge() error {
	if b.read > b.room.limits.MaxBodyBytes {
		return &http.MaxBytesError{Limit: b.room.limits.MaxBodyBytes}
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

// count takes a place among what is judged and among the requests in flight, once the body is there: a client that sends
// slowly takes none. What waits to be judged takes no place that another could use.
func (b *body) count() error {
	if b.counted {
		return nil
	}
	weight := min(b.read, smallBody)
	if !b.acquire(b.judging(), weight) {
		if b.read > smallBody {
			return b.tooLarge()
		}
		return b.room.busy()
	}
	b.judged = weight
	if !b.acquire(b.room.inFlight, 1) {
		return b.room.busy()
	}
	b.counted = true
	return nil
}

// judging is the budget for judging the body, once it is there.
func (b *body) judging() *semaphore.Weighted {
	if b.read > usualBody {
		return b.room.judgedLarge
	}
	return b.room.judgedUsual
}

func (b *body) release() {
	b.judging().Release(b.judged)
	b.budget.Release(b.charged)
	if b.counted {
		b.room.inFlight.Release(1)
	}
}

func (rm *room) busy() error {
	rm.metrics.shed.WithLabelValues("requests").Inc()
	return &BusyError{"requests in flight"}
}

// acquire waits for room for as long as the limits allow, and not so long that there would be no time left for the rest.
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
