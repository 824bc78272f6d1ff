// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package crosscheck

import (
	"cmp"
	"slices"
)

const (
	// slack is how far the clocks of webhook and API server may differ, and how long an answer may come after the end of its request, in
	// seconds.
	slack = 10
	// maxRequest is how long a request takes at most, in seconds.
	maxRequest = 60
	// maxTried is the maximum number of requests that are tried for a record.
	maxTried = 1000
)

// span is when a request was received and when it ended, in seconds since 1970.
type span struct {
	from, to uint32
	taken    bool // it explains a record
}

// sortUnanswered sorts the requests without an answer by time.
func (c *Check) sortUnanswered() {
	for _, spans := range c.unanswered {
		slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	}
}

// takeUnanswered reports whether a record is that of a request that the webhook did not answer in time. Each such request explains one
// record.
func (c *Check) takeUnanswered(m *mark) bool {
	spans := c.unanswered[m.write]
	if m.write == 0 {
		return false
	}
	after, _ := slices.BinarySearchFunc(spans, int64(m.at)+slack+1, func(s span, at int64) int { return cmp.Compare(int64(s.from), at) })
	tried := spans[max(0, after-maxTried):after]
	for i := range tried {
		s := &tried[i]
		if !s.taken && int64(s.from) >= int64(m.at)-slack-maxRequest && int64(m.at) <= int64(s.to)+slack {
			s.taken = true
			return true
		}
	}
	return false
}
