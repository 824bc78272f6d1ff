// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package delegatedauth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// besieged is asked by strangers, whose tokens are made up and get no answer, and by scrapers, who get one at once.
func besieged() *answers {
	return newAnswers(func(ctx context.Context, q question) (answer, error) {
		if strings.HasPrefix(q.token, "scraper") {
			return answer{status: http.StatusOK}, nil
		}
		<-ctx.Done()
		return answer{}, ctx.Err()
	})
}

// flood asks with so many made-up tokens at a time, each from the address that from returns, and waits until all of them are
// asked, wait or are refused. The function that is returned waits for their ends.
func flood(t *testing.T, a *answers, tokens int, from func(i int) int) (end func()) {
	t.Helper()
	var group sync.WaitGroup
	for i := range tokens {
		group.Go(func() { _, _ = a.to(t.Context(), question{token: fmt.Sprint("stranger-", i)}, address(from(i))) })
	}
	synctest.Wait()
	return group.Wait
}

func TestStrangersDoNotDelayScrapers(t *testing.T) {
	oneAddress := func(int) int { return 1 }
	eachItsOwn := func(i int) int { return 1 + i }
	const scraper = 5000
	for _, test := range []struct {
		name   string
		before string // the token of an earlier scrape, if there was one
		token  string
		from   func(i int) int // the strangers' addresses
	}{
		{"a new token from a new address does not wait for the tokens of one address", "", "scraper-1", oneAddress},
		{"a token that passed before does not wait for the tokens of many addresses", "scraper-1", "scraper-1", eachItsOwn},
		{"a new token does not wait if another passed from its address", "scraper-1", "scraper-2", eachItsOwn},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := besieged()
				scrape := func(token string) {
					t.Helper()
					began := time.Now()
					got, err := a.to(t.Context(), question{token: token}, address(scraper))
					if err != nil || got.status != http.StatusOK {
						t.Errorf("got %v, %v", got, err)
					}
					if took := time.Since(began); took != 0 {
						t.Errorf("it waited %s", took)
					}
				}
				if test.before != "" {
					scrape(test.before)
					time.Sleep(2 * passedTTL) // its answer does not hold any more
				}
				end := flood(t, a, 4*maxWaiting, test.from)
				scrape(test.token)
				end()
			})
		})
	}
}

// TestAnAddressIsRefusedAtOnce asks with more unknown tokens from one address than it may.
func TestAnAddressIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := besieged()
		end := flood(t, a, maxFromAddress, func(int) int { return 1 })
		defer end()
		began := time.Now()
		for range 2 { // it is not remembered of the token
			got, err := a.to(t.Context(), question{token: "stranger"}, address(1))
			if err != nil || got.status != http.StatusTooManyRequests || time.Since(began) != 0 {
				t.Errorf("got %v, %v after %s", got, err, time.Since(began))
			}
		}
		if got, err := a.to(t.Context(), question{token: "scraper"}, address(2)); err != nil || got.status != http.StatusOK {
			t.Errorf("another address: got %v, %v", got, err)
		}
	})
}

// TestATokenThatFailsIsAStranger takes the right of a token away.
func TestATokenThatFailsIsAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusOK
		a := newAnswers(func(context.Context, question) (answer, error) { return answer{status: status}, nil })
		q := question{token: "a"}
		for _, status = range []int{http.StatusOK, http.StatusForbidden} {
			if got, err := a.to(t.Context(), q, address(1)); err != nil || got.status != status {
				t.Errorf("got %v, %v, want %d", got, err, status)
			}
			want := a.lanes.returning
			if status != http.StatusOK {
				want = a.lanes.strangers
			}
			if a.lanes.choose(q.key(), address(2)) != want {
				t.Errorf("after %d it is in another lane", status)
			}
			time.Sleep(2 * passedTTL)
		}
	})
}

// TestLanesAreBounded has more tokens pass, from more addresses, than are remembered.
func TestLanesAreBounded(t *testing.T) {
	l := newLanes()
	for i := range 2 * maxKept {
		l.passed(question{token: fmt.Sprint(i)}.key(), address(i))
	}
	if tokens, addresses := len(l.tokens.Keys()), len(l.addresses.Keys()); tokens != maxKept || addresses != maxKept {
		t.Errorf("%d tokens and %d addresses are remembered, want %d", tokens, addresses, maxKept)
	}
}

func TestAddressOf(t *testing.T) {
	for _, test := range []struct{ name, remote, want string }{
		{"an IPv4 address is one", "10.1.2.3:443", "10.1.2.3/32"},
		{"an IPv4 address written as IPv6 is the same", "[::ffff:10.1.2.3]:443", "10.1.2.3/32"},
		{"an IPv6 address counts as its network", "[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"},
		{"a zone does not make another address", "[fe80::1%eth0]:443", "fe80::/64"},
		{"a socket's path is no address", "@", "invalid Prefix"},
		{"a name is no address", "localhost:443", "invalid Prefix"},
		{"nothing is no address", "", "invalid Prefix"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := addressOf(test.remote).String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
