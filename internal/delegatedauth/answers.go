// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package delegatedauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/singleflight"
	lru "k8s.io/apimachinery/pkg/util/cache"
)

// How long an answer holds: within this time it is noticed that a right or a token is taken away, or that there is one now.
const (
	passedTTL    = time.Minute
	forbiddenTTL = 30 * time.Second
	unknownTTL   = 10 * time.Second
)

const (
	// askTimeout bounds a question: it is less than any scrape is given.
	askTimeout = 5 * time.Second
	// maxKept is how many answers are kept of either kind: of scrapers there are a few.
	maxKept = 1024
)

// question is whether who has this token may.
type question struct{ token, verb, path string }

// key has a size that does not depend on the question, and the token is not in it. Neither verbs nor tokens have spaces.
func (q question) key() [sha256.Size]byte {
	return sha256.Sum256([]byte(q.verb + " " + q.token + " " + q.path))
}

// answer is the status of HTTP that a request gets, and if it is not 200, why.
type answer struct {
	status int
	reason string
}

// answers are those to the questions that were asked lately.
type answers struct {
	ask func(context.Context, question) (answer, error)
	// Tokens that are made up do not drive out the answers to others.
	passed, refused *lru.LRUExpireCache
	flights         singleflight.Group
	lanes           *lanes
}

func newAnswers(ask func(context.Context, question) (answer, error)) *answers {
	return &answers{
		ask: ask, passed: lru.NewLRUExpireCache(maxKept), refused: lru.NewLRUExpireCache(maxKept),
		lanes: newLanes(),
	}
}

// to is the answer to a question from an address. What is asked by several at a time is asked once. The error says that there is
// no answer, and is not kept.
func (a *answers) to(ctx context.Context, q question, from netip.Prefix) (answer, error) {
	key := q.key()
	for {
		if known, ok := a.kept(key, from); ok {
			return known, nil
		}
		first := false
		said, err, _ := a.flights.Do(string(key[:]), func() (any, error) {
			first = true
			return a.askOnce(ctx, q, key, from)
		})
		if busy := errBusy(""); errors.As(err, &busy) {
			if !first {
				continue // another address is refused, which says nothing about this one
			}
			return answer{http.StatusTooManyRequests, busy.Error()}, nil
		}
		return said.(answer), err
	}
}

func (a *answers) kept(key [sha256.Size]byte, from netip.Prefix) (answer, bool) {
	if known, ok := a.passed.Get(key); ok {
		a.lanes.passed(key, from)
		return known.(answer), true
	}
	if known, ok := a.refused.Get(key); ok {
		return known.(answer), true
	}
	return answer{}, false
}

func (a *answers) askOnce(ctx context.Context, q question, key [sha256.Size]byte, from netip.Prefix) (answer, error) {
	// Others wait for it, too: it does not end when the first of them has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	leave, err := a.lanes.choose(key, from).enter(ctx, from)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	said, err := a.ask(ctx, q)
	if err == nil {
		a.keep(key, said, from)
	}
	return said, err
}

func (a *answers) keep(key [sha256.Size]byte, said answer, from netip.Prefix) {
	if said.status == http.StatusOK {
		a.passed.Add(key, said, passedTTL)
		a.lanes.passed(key, from)
		return
	}
	a.lanes.failed(key)
	if said.status == http.StatusForbidden {
		a.refused.Add(key, said, forbiddenTTL)
	} else {
		a.refused.Add(key, said, unknownTTL)
	}
}
