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

// How long an answer is cached: a change of permissions or tokens takes effect within this time.
const (
	passedTTL    = time.Minute
	forbiddenTTL = 30 * time.Second
	unknownTTL   = 10 * time.Second
)

const (
	// askTimeout bounds a question. It is shorter than the timeout of a scrape.
	askTimeout = 5 * time.Second
	// maxKept is the maximum number of cached answers of either kind. There are only a few scrapers.
	maxKept = 1024
)

// question asks whether the token's user may use verb on path.
type question struct{ token, verb, path string }

// key returns a hash, so that the cache has no tokens and bounded keys. Verbs and tokens have no spaces.
func (q question) key() [sha256.Size]byte {
	return sha256.Sum256([]byte(q.verb + " " + q.token + " " + q.path))
}

// answer is the HTTP status that a request gets, and the reason if it is not 200.
type answer struct {
	status int
	reason string
}

// answers caches the answers to recent questions.
type answers struct {
	ask func(context.Context, question) (answer, error)
	// Two caches, so that made-up tokens do not evict the answers to valid ones.
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

// to returns the answer to a question from an address. Concurrent equal questions are asked once. An error means that there is no
// answer, and is not cached.
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
				continue // another address was refused, which does not apply to this one
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
	// Others may wait for it too, so it does not end when the first client disconnects.
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
