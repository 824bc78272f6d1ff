// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"maps"
	"math/bits"
	"slices"
	"time"
)

// account keeps the numbers of the records of one boot: which were seen, and a digest of each to tell a line that was
// read twice from two records with one number. It takes about 5 bytes for each record.
type account struct {
	boot        string
	source      string // of its latest record
	chunks      map[uint64]*chunk
	records     uint64 // distinct lines
	duplicates  uint64
	conflicts   uint64
	conflicting []uint64 // the first few numbers
	first, last uint64   // number seen; 0: none
	from, to    time.Time
	lost        map[LostRecords]struct{}
}

const (
	chunkSize = 64
	// maxConflicting is how many numbers with different lines are named.
	maxConflicting = 20
	// maxLost bounds the lines about lost records that are remembered. The log writes at most one a second.
	maxLost = 100_000
)

// chunk holds 64 consecutive numbers of records.
type chunk struct {
	seen uint64 // a bit for each
	sums [chunkSize]digest
}

func newAccount(boot string) *account {
	return &account{boot: boot, chunks: map[uint64]*chunk{}, lost: map[LostRecords]struct{}{}}
}

// record notes a record and reports whether its line is new.
func (a *account) record(line *Line, sum digest) bool {
	seq, at := line.Record.Seq, time.Time(line.Record.Time)
	if line.Source != "" {
		a.source = line.Source
	}
	c, ok := a.chunks[(seq-1)/chunkSize]
	if !ok {
		c = &chunk{}
		a.chunks[(seq-1)/chunkSize] = c
	}
	i := (seq - 1) % chunkSize
	if c.seen&(1<<i) != 0 {
		if c.sums[i].same(sum) {
			a.duplicates++
			c.sums[i] |= sum // in case the first one was compact
			return false
		}
		a.conflicts++
		if len(a.conflicting) < maxConflicting && !slices.Contains(a.conflicting, seq) {
			a.conflicting = append(a.conflicting, seq)
		}
	} else {
		c.seen |= 1 << i
		c.sums[i] = sum
	}
	if a.records == 0 || seq < a.first {
		a.first = seq
	}
	if a.records == 0 || at.Before(a.from) {
		a.from = at
	}
	if at.After(a.to) {
		a.to = at
	}
	a.last = max(a.last, seq)
	a.records++
	return true
}

func (a *account) lose(l LostRecords) {
	if len(a.lost) < maxLost {
		a.lost[l] = struct{}{}
	}
}

// Range is the numbers from First to Last.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Count is how many numbers are in the range.
func (r Range) Count() uint64 { return r.Last - r.First + 1 }

// missing returns the ranges of numbers that were not seen, from the given number to the last that was.
func (a *account) missing(from uint64) []Range {
	last := a.last
	for l := range a.lost {
		last = max(last, l.Last)
	}
	var ranges []Range
	next := from // the first number that is not accounted for
	for _, n := range slices.Sorted(maps.Keys(a.chunks)) {
		for seen := a.chunks[n].seen; seen != 0; seen &= seen - 1 {
			seq := n*chunkSize + uint64(bits.TrailingZeros64(seen)) + 1
			if seq > next {
				ranges = append(ranges, Range{next, seq - 1})
			}
			next = max(next, seq+1)
		}
	}
	if next <= last {
		ranges = append(ranges, Range{next, last})
	}
	return ranges
}

// begin is the first number that the log has anything to say about.
func (a *account) begin() uint64 {
	first := a.first
	for l := range a.lost {
		if first == 0 || l.First < first {
			first = l.First
		}
	}
	return first
}
