// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"container/heap"
	"slices"
	"time"
)

const (
	// window is how late an event may come. API servers log a request when it ends, and their files are merged by time.
	window = time.Minute
	// maxWaiting and maxWaitingBytes bound what waits for earlier events.
	maxWaiting      = 100_000
	maxWaitingBytes = 64 << 20
)

// order sorts the writes of each object by resourceVersion, and others by time, within a window.
type order struct {
	waiting byTime
	of      map[key][]*written
	bytes   int
	newest  time.Time
	skew    time.Duration
}

func newOrder(skew time.Duration) *order { return &order{of: map[key][]*written{}, skew: skew} }

// byTime is a heap of writes.
type byTime []*written

func (h byTime) Len() int           { return len(h) }
func (h byTime) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h byTime) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *byTime) Push(w any) { *h = append(*h, w.(*written)) }

// Pop implements heap.Interface.
func (h *byTime) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return w
}

// add takes a write, and calls a function with those that no earlier one can precede.
func (o *order) add(w *written, each func(*written) error) error {
	heap.Push(&o.waiting, w)
	o.of[w.key] = append(o.of[w.key], w)
	o.bytes += w.size()
	if w.at.After(o.newest) {
		o.newest = w.at
	}
	for len(o.waiting) > 0 &&
		(o.newest.Sub(o.waiting[0].at) > window+o.skew || len(o.waiting) > maxWaiting || o.bytes > maxWaitingBytes) {
		if err := o.next(each); err != nil {
			return err
		}
	}
	return nil
}

// flush calls a function with all that is left.
func (o *order) flush(each func(*written) error) error {
	for len(o.waiting) > 0 {
		if err := o.next(each); err != nil {
			return err
		}
	}
	return nil
}

// next calls a function with the earliest write, and before it with the writes of the same object that have an earlier resourceVersion.
func (o *order) next(each func(*written) error) error {
	w := heap.Pop(&o.waiting).(*written)
	if w.done {
		return nil
	}
	var before []*written
	for _, other := range o.of[w.key] {
		if w.version != 0 && other.version != 0 && other.version < w.version {
			before = append(before, other)
		}
	}
	slices.SortStableFunc(before, func(a, b *written) int { return compareVersions(a, b) })
	for _, other := range append(before, w) {
		if err := o.give(other, each); err != nil {
			return err
		}
	}
	return nil
}

func compareVersions(a, b *written) int {
	switch {
	case a.version < b.version:
		return -1
	case a.version > b.version:
		return 1
	}
	return a.at.Compare(b.at)
}

func (o *order) give(w *written, each func(*written) error) error {
	w.done = true
	o.bytes -= w.size()
	rest := slices.DeleteFunc(o.of[w.key], func(other *written) bool { return other == w })
	if len(rest) == 0 {
		delete(o.of, w.key)
	} else {
		o.of[w.key] = rest
	}
	return each(w)
}

// unseen returns the waiting writes of an object that may have come before one, although their time is later: their answers are not
// known, and clocks differ.
func (o *order) unseen(w *written) []*written {
	var found []*written
	for _, other := range o.of[w.key] {
		if other != w && other.version == 0 && other.stores() && other.from.Sub(w.at) <= o.skew {
			found = append(found, other)
		}
	}
	return found
}

// hasTwin reports whether another write with the same resourceVersion waits that may have come before. One of the two has stored it, and
// the other has changed nothing.
func (o *order) hasTwin(w *written) bool {
	return slices.ContainsFunc(o.of[w.key], func(other *written) bool {
		return other != w && !other.dryRun && other.version == w.version && other.from.Sub(w.at) <= o.skew
	})
}

// hasNear reports whether another write of the object waits that may have come before this one, although its time is later.
func (o *order) hasNear(w *written) bool {
	return slices.ContainsFunc(o.of[w.key], func(other *written) bool {
		return other != w && other.stores() && other.from.Sub(w.at) <= o.skew
	})
}

// size is how many bytes of bodies a write holds.
func (w *written) size() int { return len(w.event.RequestObject) + len(w.event.ResponseObject) }
