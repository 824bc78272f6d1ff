// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package crosscheck

import (
	"slices"
	"time"

	"noderestriction.plus/internal/auditlog"
)

// margin is [Margin] in seconds.
const margin = int64(Margin / time.Second)

// period is a time in which a log has everything, in seconds since 1970.
type period struct{ from, to int64 }

// holds reports whether a time is inside the period, by the margin.
func (p period) holds(at time.Time) bool { return p.holdsSecond(at.Unix()) }

func (p period) holdsSecond(at int64) bool { return at >= p.from+margin && at <= p.to-margin }

// covered returns when audit logs have what all API servers wrote, in order. The inputs do not say which API server wrote them: as many
// must have been written at a time as at any other time, without what rotated files of one server have in common.
func covered(spans []auditlog.Span) []period {
	type end struct {
		at   int64
		step int // 1 begins, -1 ends
	}
	sweep := func(shorter int64) []end {
		var ends []end
		for _, s := range spans {
			if from, to := s.From.Unix(), s.To.Unix()+1-shorter; to > from {
				ends = append(ends, end{from, 1}, end{to, -1})
			}
		}
		slices.SortFunc(ends, func(a, b end) int {
			if a.at != b.at {
				return int(min(max(a.at-b.at, -1), 1))
			}
			return a.step - b.step // one that ends where another begins is the earlier file of one server
		})
		return ends
	}
	n, servers := 0, 1
	for _, e := range sweep(margin) {
		n += e.step
		servers = max(servers, n)
	}
	var all []period
	n = 0
	for _, e := range sweep(0) {
		if n += e.step; e.step > 0 && n == servers {
			if last := len(all) - 1; last >= 0 && e.at-all[last].to <= margin { // the next file of one server
				continue
			}
			all = append(all, period{from: e.at})
		} else if e.step < 0 && n == servers-1 {
			all[len(all)-1].to = e.at
		}
	}
	return all
}

// covers reports whether a time is inside one of some periods, by the margin.
func covers(all []period, at uint32) bool {
	i, _ := slices.BinarySearchFunc(all, int64(at), func(p period, at int64) int {
		if p.to < at {
			return -1
		}
		return 1
	})
	return i < len(all) && all[i].holdsSecond(int64(at))
}
