// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package follow

import "time"

const (
	// settle is how long a difference must last before it is written. Replicas see a changed policy within milliseconds of each other;
	// one that is a little behind must not write what was in force before.
	settle = time.Second
	// minWait is the least time between two writes of an object by a replica.
	minWait = 2 * time.Second
	// maxWait is that time while each write fails or is undone. It is less than a minute, in which what somebody changed is restored.
	maxWait = 30 * time.Second
)

// pace spaces the writes of one object. Replicas of two versions that disagree write at most once in [maxWait] each, as do a replica and
// somebody who undoes each write.
type pace struct {
	wanted string        // the digest of what differs from the object; empty: nothing does
	since  time.Time     // since when it differs
	wrote  string        // the digest of the latest attempt
	last   time.Time     // of the latest attempt
	wait   time.Duration // until the next attempt
}

// due reports whether it is time to write what has this digest. It is empty if nothing must be written.
func (p *pace) due(wanted string, now time.Time) bool {
	if wanted != p.wanted {
		p.wanted, p.since = wanted, now
	}
	switch {
	case wanted == "":
		return false
	case wanted != p.wrote, now.Sub(p.last) > 2*maxWait:
		// Something else than before, or what was written stood for long.
		p.wait = minWait
	}
	return now.Sub(p.since) >= settle && now.Sub(p.last) >= p.wait
}

// made records an attempt.
func (p *pace) made(now time.Time) {
	p.wait = min(max(minWait, p.wait), maxWait)
	if p.wanted == p.wrote {
		p.wait = min(2*p.wait, maxWait)
	}
	p.wrote, p.last = p.wanted, now
}
