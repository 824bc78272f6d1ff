// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package delegatedauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// somewhere is the address of a single client.
var somewhere = address(0)

func address(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)
}

// counted is what is asked, which counts how often it is.
func counted(a answer, err error) (*answers, *atomic.Int64) {
	var asked atomic.Int64
	return newAnswers(func(context.Context, question) (answer, error) {
		asked.Add(1)
		return a, err
	}), &asked
}

func TestAnswersHoldForATime(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		err    error
		holds  time.Duration
	}{
		{"a right that is taken away is noticed within a minute", http.StatusOK, nil, time.Minute},
		{"a right that is given is noticed within half a minute", http.StatusForbidden, nil, 30 * time.Second},
		{"a token that becomes known is noticed within 10 s", http.StatusUnauthorized, nil, 10 * time.Second},
		{"a failure is not cached", 0, errors.New("away"), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, asked := counted(answer{status: test.status}, test.err)
				q := question{token: "a", verb: "get", path: "/metrics"}
				for began := time.Now(); time.Since(began) <= test.holds; time.Sleep(time.Second) {
					if got, err := a.to(t.Context(), q, somewhere); got.status != test.status || !errors.Is(err, test.err) {
						t.Fatalf("got %v, %v", got, err)
					}
				}
				if n := asked.Load(); n != 1 {
					t.Errorf("asked %d times while the answer holds", n)
				}
				if _, err := a.to(t.Context(), q, somewhere); !errors.Is(err, test.err) {
					t.Error(err)
				}
				if n := asked.Load(); n != 2 {
					t.Errorf("asked %d times when it does not hold any more", n)
				}
			})
		})
	}
}

func TestAnswersAreToOneQuestion(t *testing.T) {
	a, asked := counted(answer{status: http.StatusOK}, nil)
	questions := []question{
		{"a", "get", "/metrics"},
		{"b", "get", "/metrics"},
		{"a", "head", "/metrics"},
		{"a", "get", "/"},
		{"a", "get", ""},
		{"a", "get", "a /metrics"},
		{"geta", "", "/metrics"},
	}
	for range 2 {
		for _, q := range questions {
			if _, err := a.to(t.Context(), q, somewhere); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := asked.Load(); n != int64(len(questions)) {
		t.Errorf("asked %d times for %d questions", n, len(questions))
	}
}

// TestAnswersAreBounded asks with more tokens than answers are kept, all of them unknown.
func TestAnswersAreBounded(t *testing.T) {
	var asked atomic.Int64
	a := newAnswers(func(_ context.Context, q question) (answer, error) {
		asked.Add(1)
		if q.token == "known" {
			return answer{status: http.StatusOK}, nil
		}
		return answer{status: http.StatusUnauthorized}, nil
	})
	const unknown = 2 * maxKept
	for i := range unknown {
		for _, token := range []string{"known", fmt.Sprint(i, strings.Repeat("x", maxTokenBytes))} {
			if _, err := a.to(t.Context(), question{token: token}, somewhere); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := asked.Load(); n != unknown+1 {
		t.Errorf("asked %d times, want once for the known token and each of %d others", n, unknown)
	}
	if n := len(a.refused.Keys()); n != maxKept {
		t.Errorf("%d answers are kept, want %d", n, maxKept)
	}
}

func TestAnswersAreAskedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		a := newAnswers(func(ctx context.Context, _ question) (answer, error) {
			asked.Add(1)
			time.Sleep(time.Second)
			return answer{status: http.StatusOK}, ctx.Err()
		})
		gone, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				ctx := t.Context()
				if i == 0 {
					ctx = gone
				} else {
					time.Sleep(time.Millisecond)
				}
				if got, err := a.to(ctx, question{token: "a"}, somewhere); err != nil || got.status != http.StatusOK {
					t.Errorf("got %v, %v", got, err)
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		leave() // of the first question
		group.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestAnswersDoNotFloodTheAPIServer asks with many tokens from many addresses while there is no answer.
func TestAnswersDoNotFloodTheAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, refused atomic.Int64
		a := newAnswers(func(ctx context.Context, _ question) (answer, error) {
			asked.Add(1)
			<-ctx.Done()
			return answer{}, ctx.Err()
		})
		const clients = 10 * maxWaiting
		began := time.Now()
		var group sync.WaitGroup
		for i := range clients {
			group.Go(func() {
				got, err := a.to(t.Context(), question{token: fmt.Sprint(i)}, address(i))
				if err == nil && got.status == http.StatusTooManyRequests {
					refused.Add(1)
				} else if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, %v", got, err)
				}
			})
		}
		synctest.Wait()
		if n := asked.Load(); n != maxAsked {
			t.Errorf("%d questions at a time, want %d", n, maxAsked)
		}
		if n := refused.Load(); n != clients-maxWaiting {
			t.Errorf("%d are refused at once, want %d", n, clients-maxWaiting)
		}
		group.Wait()
		if took := time.Since(began); took != askTimeout {
			t.Errorf("it took %s until all had an answer, want %s", took, askTimeout)
		}
		if l := a.lanes.strangers; l.waiting != 0 || len(l.from) != 0 {
			t.Errorf("%d questions of %d addresses are left", l.waiting, len(l.from))
		}
	})
}
