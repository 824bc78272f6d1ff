// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"time"

	"golang.org/x/time/rate"

	"noderestriction.plus/internal/record"
)

// A flood of denials must not rotate earlier records away. Whatever varies in it, few of its records are written in full: records
// beyond the budgets are brief, and those that equal enough others are compact. Each record still has its own line.
const (
	// fullRecords is how many equal records within a window are written in full or brief; the others are compact.
	fullRecords = 10
	// fullOfNode is how many records of one node within a window are written in full.
	fullOfNode = 10
	window     = time.Minute
	// fullBurst is how many records of all nodes are written in full at once; after that, one per fullInterval.
	fullBurst    = 30
	fullInterval = 2 * time.Second
	// maxGeneration bounds the memory for counts: two generations of about 100 bytes per entry.
	maxGeneration = 5000
)

// form is how a record is written.
type form int

const (
	full form = iota
	brief
	compact
)

// forms chooses the form of each record. It counts records that were written, not attempts: a compact line can only be
// understood with an earlier full or brief one.
type forms struct {
	equal, nodes counts
	all          *rate.Limiter
}

func newForms() forms {
	return forms{
		equal: newCounts(), nodes: newCounts(), all: rate.NewLimiter(rate.Every(fullInterval), fullBurst),
	}
}

// of returns the form of the next record.
func (f *forms) of(rec *record.Record, now time.Time) form {
	switch {
	case f.equal.get(rec.Fingerprint, now) >= fullRecords:
		return compact
	case f.nodes.get(rec.Node, now) >= fullOfNode, f.all.TokensAt(now) < 1:
		return brief
	}
	return full
}

// wrote counts a record that was written.
func (f *forms) wrote(rec *record.Record, as form, now time.Time) {
	f.equal.add(rec.Fingerprint, now)
	if as == full {
		f.nodes.add(rec.Node, now)
		f.all.AllowN(now, 1)
	}
}

// counts counts by key within each window. It remembers the latest 5,000 to 10,000 keys.
type counts struct {
	current, previous map[string]*counter
}

type counter struct {
	since time.Time
	n     int
}

func newCounts() counts { return counts{current: map[string]*counter{}} }

// get returns how often the key was counted in the current window.
func (c *counts) get(key string, now time.Time) int {
	seen, ok := c.current[key]
	if !ok {
		seen, ok = c.previous[key]
	}
	if !ok || now.Sub(seen.since) >= window {
		return 0
	}
	return seen.n
}

// add counts the key.
func (c *counts) add(key string, now time.Time) {
	seen, ok := c.current[key]
	if !ok {
		if len(c.current) == maxGeneration {
			c.previous, c.current = c.current, make(map[string]*counter)
		}
		if seen, ok = c.previous[key]; !ok {
			seen = &counter{since: now}
		}
		c.current[key] = seen
	}
	if now.Sub(seen.since) >= window {
		*seen = counter{since: now}
	}
	seen.n++
}
