// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"maps"
	"math/bits"
	"slices"
	"time"
)

// sequence has the numbers of the records of one boot that were seen, and a digest of each, to distinguish a line that was read
// twice from two records with one number. It takes about 5 bytes per record.
type sequence struct {
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
	// maxConflicting is the maximum number of conflicting numbers that are named.
	maxConflicting = 20
	// maxLost is the maximum number of lines about lost records that are remembered. The log writes at most one per second.
	maxLost = 100_000
)

// chunk holds 64 consecutive sequence numbers.
type chunk struct {
	seen uint64 // one bit per number
	sums [chunkSize]digest
}

func newSequence(boot string) *sequence {
	return &sequence{boot: boot, chunks: map[uint64]*chunk{}, lost: map[LostRecords]struct{}{}}
}

// record adds a record and reports whether its line is new.
func (s *sequence) record(line *Line, sum digest) bool {
	seq, at := line.Record.Seq, time.Time(line.Record.Time)
	if line.Source != "" {
		s.source = line.Source
	}
	c, ok := s.chunks[(seq-1)/chunkSize]
	if !ok {
		c = &chunk{}
		s.chunks[(seq-1)/chunkSize] = c
	}
	i := (seq - 1) % chunkSize
	if c.seen&(1<<i) != 0 {
		if c.sums[i].same(sum) {
			s.duplicates++
			c.sums[i] |= sum // in case the first one was compact
			return false
		}
		s.conflicts++
		if len(s.conflicting) < maxConflicting && !slices.Contains(s.conflicting, seq) {
			s.conflicting = append(s.conflicting, seq)
		}
	} else {
		c.seen |= 1 << i
		c.sums[i] = sum
	}
	if s.records == 0 || seq < s.first {
		s.first = seq
	}
	if s.records == 0 || at.Before(s.from) {
		s.from = at
	}
	if at.After(s.to) {
		s.to = at
	}
	s.last = max(s.last, seq)
	s.records++
	return true
}

// has reports whether a number was seen.
func (s *sequence) has(seq uint64) bool {
	c, ok := s.chunks[(seq-1)/chunkSize]
	return ok && c.seen&(1<<((seq-1)%chunkSize)) != 0
}

func (s *sequence) lose(l LostRecords) {
	if len(s.lost) < maxLost {
		s.lost[l] = struct{}{}
	}
}

// Range is the numbers from First to Last.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Count returns how many numbers are in the range.
func (r Range) Count() uint64 { return r.Last - r.First + 1 }

// missing returns the ranges of numbers that were not seen, from the given number to the last that was.
func (s *sequence) missing(from uint64) []Range {
	last := s.end()
	var ranges []Range
	next := from // the first number that has not been checked
	for _, n := range slices.Sorted(maps.Keys(s.chunks)) {
		for seen := s.chunks[n].seen; seen != 0; seen &= seen - 1 {
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

// begin returns the first number that the log mentions.
func (s *sequence) begin() uint64 {
	first := s.first
	for l := range s.lost {
		if first == 0 || l.First < first {
			first = l.First
		}
	}
	return first
}

// end returns the last number that the log mentions.
func (s *sequence) end() uint64 {
	last := s.last
	for l := range s.lost {
		last = max(last, l.Last)
	}
	return last
}
