package delegatedauth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
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
	// maxAsked is how many questions are asked at a time. Others wait.
	maxAsked = 8
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
	asked           chan struct{}
}

func newAnswers(ask func(context.Context, question) (answer, error)) *answers {
	return &answers{
		ask: ask, passed: lru.NewLRUExpireCache(maxKept), refused: lru.NewLRUExpireCache(maxKept),
		asked: make(chan struct{}, maxAsked),
	}
}

// to is the answer to a question. What is asked by several at a time is asked once. The error says that there is no answer,
// and is not kept.
func (a *answers) to(ctx context.Context, q question) (answer, error) {
	key := q.key()
	for _, kept := range []*lru.LRUExpireCache{a.passed, a.refused} {
		if known, ok := kept.Get(key); ok {
			return known.(answer), nil
		}
	}
	said, err, _ := a.flights.Do(string(key[:]), func() (any, error) {
		// Others wait for it, too: it does not end when the first of them has gone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		select {
		case a.asked <- struct{}{}:
			defer func() { <-a.asked }()
		case <-ctx.Done():
			return answer{}, fmt.Errorf("%d questions are being asked: %w", maxAsked, ctx.Err())
		}
		said, err := a.ask(ctx, q)
		if err == nil {
			a.keep(key, said)
		}
		return said, err
	})
	return said.(answer), err
}

func (a *answers) keep(key [sha256.Size]byte, said answer) {
	switch said.status {
	case http.StatusOK:
		a.passed.Add(key, said, passedTTL)
	case http.StatusForbidden:
		a.refused.Add(key, said, forbiddenTTL)
	default:
		a.refused.Add(key, said, unknownTTL)
	}
}
