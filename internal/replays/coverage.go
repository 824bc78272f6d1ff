// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/replay"
)

const (
	// longest is the longest time between two writes of nodes/status by a stock kubelet: five minutes, and half of that as jitter.
	longest = 7*time.Minute + 30*time.Second
	// tolerated is added for a slow API server.
	tolerated = 30 * time.Second
	// maxHoles bounds how many holes of a kubelet are kept.
	maxHoles = 10
)

// coverage finds out whether the log has the writes of nodes/status that each kubelet sends at least every few minutes.
type coverage struct {
	kubelets map[string]*heartbeats
	more     bool
}

// heartbeats are those of a kubelet.
type heartbeats struct {
	first, last time.Time
	holes       []Hole
	more        int
}

func newCoverage() *coverage { return &coverage{kubelets: map[string]*heartbeats{}} }

// add notes a write. A refused one shows that the kubelet runs, as well.
func (c *coverage) add(w *replay.Write) {
	q := &w.Request
	node := value(q.NodeName)
	h := c.kubelets[node]
	if h == nil {
		if len(c.kubelets) == maxNames {
			c.more = true
			return
		}
		h = &heartbeats{}
		c.kubelets[node] = h
	}
	if q.Resource != "nodes" || q.Subresource != "status" || q.Operation != admissionv1.Update {
		return
	}
	if h.first.IsZero() || w.Time.Before(h.first) {
		h.first = w.Time
	}
	if !h.last.IsZero() {
		h.hole(node, h.last, w.Time)
	}
	if w.Time.After(h.last) {
		h.last = w.Time
	}
}

// hole notes a time without a heartbeat, if it is too long.
func (h *heartbeats) hole(node string, from, to time.Time) {
	switch {
	case to.Sub(from) <= longest+tolerated:
	case len(h.holes) == maxHoles:
		h.more++
	default:
		h.holes = append(h.holes, Hole{Node: node, From: from.UTC(), To: to.UTC(), Seconds: int(to.Sub(from).Seconds())})
	}
}

// finish compares the heartbeats with the time of the log.
func (c *coverage) finish(log *auditlog.Log) *Coverage {
	out := &Coverage{Kubelets: len(c.kubelets), Holes: []Hole{}}
	for _, node := range slices.Sorted(maps.Keys(c.kubelets)) {
		h := c.kubelets[node]
		if h.last.IsZero() {
			out.Without = append(out.Without, node)
			continue
		}
		h.hole(node, h.last, log.Last)
		out.Holes, out.MoreHoles = append(out.Holes, h.holes...), out.MoreHoles+h.more
		if len(h.holes) == 0 {
			out.Covered++
		}
	}
	slices.SortStableFunc(out.Holes, func(a, b Hole) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), strings.Compare(a.Node, b.Node))
	})
	return out
}
