// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package delegatedauth

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	lru "k8s.io/apimachinery/pkg/util/cache"
)

const (
	// maxAsked is the maximum number of questions of one lane that are asked at a time.
	maxAsked = 8
	// maxWaiting is the maximum number of questions of one lane that are asked or wait. Others are refused.
	maxWaiting = 64
	// maxFromAddress is the maximum number of questions about unknown tokens from one address that are asked or wait. Others are
	// refused.
	maxFromAddress = 4
	// remembered is how long a token or an address is remembered after it passed.
	remembered = time.Hour
)

// lanes separates the questions of clients that have passed before from those of strangers, because anyone who can connect can
// make up tokens.
type lanes struct {
	// tokens and addresses are those that have passed recently.
	tokens, addresses *lru.LRUExpireCache
	// returning is for tokens that have passed before, familiar for new tokens from an address from which one has passed before,
	// such as that of a scraper whose token was rotated. strangers is for all others.
	returning, familiar, strangers *lane
}

func newLanes() *lanes {
	return &lanes{
		tokens: lru.NewLRUExpireCache(maxKept), addresses: lru.NewLRUExpireCache(maxKept),
		returning: newLane(maxKept), familiar: newLane(maxFromAddress), strangers: newLane(maxFromAddress),
	}
}

// passed remembers a question that got 200, and its address.
func (l *lanes) passed(key any, from netip.Prefix) {
	l.tokens.Add(key, nil, remembered)
	l.addresses.Add(from, nil, remembered)
}

// failed forgets a question that did not get 200.
func (l *lanes) failed(key any) { l.tokens.Remove(key) }

// choose returns the lane of a question.
func (l *lanes) choose(key any, from netip.Prefix) *lane {
	if _, ok := l.tokens.Get(key); ok {
		return l.returning
	}
	if _, ok := l.addresses.Get(from); ok {
		return l.familiar
	}
	return l.strangers
}

// lane bounds the questions that are asked at a time.
type lane struct {
	asked       chan struct{}
	maxFromEach int

	mu      sync.Mutex
	waiting int                  // including those that are asked
	from    map[netip.Prefix]int // waiting, by address
}

func newLane(maxFromEach int) *lane {
	return &lane{asked: make(chan struct{}, maxAsked), maxFromEach: maxFromEach, from: map[netip.Prefix]int{}}
}

// errBusy says that too many questions wait.
type errBusy string

func (e errBusy) Error() string { return string(e) }

// enter waits for its turn and returns the function that ends it. It returns an errBusy immediately.
func (l *lane) enter(ctx context.Context, from netip.Prefix) (leave func(), err error) {
	if err := l.queue(from); err != nil {
		return nil, err
	}
	select {
	case l.asked <- struct{}{}:
		return func() {
			<-l.asked
			l.unqueue(from)
		}, nil
	case <-ctx.Done():
		l.unqueue(from)
		return nil, fmt.Errorf("%d questions are being asked: %w", maxAsked, ctx.Err())
	}
}

func (l *lane) queue(from netip.Prefix) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.from[from] >= l.maxFromEach:
		return errBusy(fmt.Sprintf("%d tokens from this address are being asked about", l.maxFromEach))
	case l.waiting >= maxWaiting:
		return errBusy(fmt.Sprintf("%d tokens are being asked about", maxWaiting))
	}
	l.waiting++
	l.from[from]++
	return nil
}

func (l *lane) unqueue(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
	if l.from[from]--; l.from[from] == 0 {
		delete(l.from, from)
	}
}

// addressOf returns the network of a remote address: an IPv4 address, or the /64 of an IPv6 address, because a host can use any
// number of addresses in its /64. Invalid addresses count as one address.
func addressOf(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	address = address.Unmap().WithZone("")
	bits := 64
	if address.Is4() {
		bits = 32
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
