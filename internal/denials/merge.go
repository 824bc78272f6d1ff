// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/policy"
)

// limits bound what is kept of equal records. Denied records have bounds of their own, so that no number of others can take
// their place.
type limits struct {
	groups   int // of denied records, and as many of others
	variants int // beyond the first of each group, of denied records, and as many of others
	ofGroup  int // variants of one group
	counts   int // over time
}

// merger merges equal records into groups, and the records of a group into variants.
type merger struct {
	limits   limits
	groups   map[string]*mergedGroup
	order    []*mergedGroup
	denied   kept
	others   kept
	left     map[policy.Outcome]*leftOut
	timeline *recordlog.Timeline
	series   int
	key      []byte
}

// kept is how much is kept already.
type kept struct{ groups, variants int }

// mergedGroup is records that are equal in everything but their object, their details and their time.
type mergedGroup struct {
	row         *recordlog.Row // the first
	series      int
	count       uint64
	first, last time.Time
	variants    map[string]*variant
	order       []*variant
	rank        int // among the groups of the same outcome and node, by count
}

// variant is records of a group that are equal in everything but their time.
type variant struct {
	row         *recordlog.Row // the latest
	count       uint64
	first, last time.Time
}

// leftOut is the records of groups that are not kept.
type leftOut struct {
	series          int
	groups, records uint64 // groups only counts those that were dropped after reading
	many            bool   // there are more groups than are counted
}

func newMerger(l limits) *merger {
	return &merger{
		limits: l, groups: map[string]*mergedGroup{}, left: map[policy.Outcome]*leftOut{}, timeline: recordlog.NewTimeline(2 * l.counts),
	}
}

func (m *merger) kept(outcome policy.Outcome) *kept {
	if outcome == policy.Denied {
		return &m.denied
	}
	return &m.others
}

// add merges a record.
func (m *merger) add(row *recordlog.Row) {
	at := time.Time(row.Time)
	m.key = appendGroup(m.key[:0], row)
	g, known := m.groups[string(m.key)]
	if !known {
		if g = m.newGroup(row); g == nil {
			left := m.leave(row.Msg)
			left.records++
			left.many = true
			m.timeline.Add(left.series, at)
			return
		}
		m.groups[string(m.key)] = g
	}
	g.count++
	g.first, g.last = earlier(g.first, at), later(g.last, at)
	m.timeline.Add(g.series, at)
	m.key = appendVariant(m.key[:0], row)
	v, known := g.variants[string(m.key)]
	if !known {
		if v = m.newVariant(g, row); v == nil {
			return
		}
		g.variants[string(m.key)] = v
		g.order = append(g.order, v)
	}
	v.count++
	if !at.Before(v.last) {
		v.row = clone(row)
	}
	v.first, v.last = earlier(v.first, at), later(v.last, at)
}

func clone(row *recordlog.Row) *recordlog.Row { kept := *row; return &kept }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// newGroup returns a group for a record, or nil if there are too many.
func (m *merger) newGroup(row *recordlog.Row) *mergedGroup {
	k := m.kept(row.Msg)
	if k.groups == m.limits.groups {
		return nil
	}
	k.groups++
	at := time.Time(row.Time)
	g := &mergedGroup{row: clone(row), series: m.newSeries(), first: at, last: at, variants: map[string]*variant{}}
	m.order = append(m.order, g)
	return g
}

func (m *merger) newSeries() int {
	m.series++
	return m.series - 1
}

// newVariant returns a variant for a record, or nil if there are too many. Each group has at least one.
func (m *merger) newVariant(g *mergedGroup, row *recordlog.Row) *variant {
	k := m.kept(row.Msg)
	if len(g.order) > 0 {
		if len(g.order) == m.limits.ofGroup || k.variants == m.limits.variants {
			return nil
		}
		k.variants++
	}
	at := time.Time(row.Time)
	return &variant{row: clone(row), first: at, last: at}
}

// leave returns the account of the records of an outcome that are in no group.
func (m *merger) leave(outcome policy.Outcome) *leftOut {
	left, known := m.left[outcome]
	if !known {
		left = &leftOut{series: m.newSeries()}
		m.left[outcome] = left
	}
	return left
}

// appendGroup appends what the records of a group have in common. No value has a NUL, for it does not print.
func appendGroup(b []byte, row *recordlog.Row) []byte {
	for _, value := range []string{outcome(row), client(row), write(row)} {
		b = append(append(b, value...), 0)
	}
	for _, v := range row.Violations {
		b = append(append(b, v.Rule...), 0)
		b = append(append(b, policyText(row, v)...), 0)
	}
	return b
}

// appendVariant appends what else the records of a variant have in common.
func appendVariant(b []byte, row *recordlog.Row) []byte {
	b = append(append(b, object(row)...), 0)
	for _, v := range row.Violations {
		b = append(append(b, merged(row, v.Detail)...), 0)
	}
	return b
}

// merged is a detail of a record, or [recordlog.Unknown] for the shorter lines, which have none.
func merged(row *recordlog.Row, detail string) string {
	if row.Compact || row.Brief {
		return recordlog.Unknown
	}
	return detail
}

// severity orders outcomes: denied first.
func severity(outcome policy.Outcome) int { return slices.Index(actionNames(), string(outcome)) }

// choose keeps at most limit groups that take at most budget bytes of text, and returns them in the order in which they are
// listed. Of each outcome, denied first, it takes the largest group of each node, then the second of each, and so on, so that
// a node with very many groups does not hide another.
func (m *merger) choose(limit, budget int) (groups []*mergedGroup, size int) {
	m.rankByNode()
	bySeverity := func(a, b *mergedGroup) int { return cmp.Compare(severity(a.row.Msg), severity(b.row.Msg)) }
	bySize := func(a, b *mergedGroup) int {
		return cmp.Or(cmp.Compare(b.count, a.count), b.last.Compare(a.last), cmp.Compare(a.series, b.series))
	}
	slices.SortFunc(m.order, func(a, b *mergedGroup) int {
		return cmp.Or(bySeverity(a, b), cmp.Compare(a.rank, b.rank), bySize(a, b))
	})
	n := 0
	for ; n < len(m.order) && n < limit; n++ {
		if size += m.order[n].size(); size > budget {
			break
		}
	}
	groups = slices.Clone(m.order[:n])
	for _, g := range m.order[n:] {
		left := m.leave(g.row.Msg)
		left.groups++
		left.records += g.count
	}
	slices.SortFunc(groups, func(a, b *mergedGroup) int { return cmp.Or(bySeverity(a, b), bySize(a, b)) })
	return groups, size
}

// rankByNode numbers the groups of each outcome and node, the largest first.
func (m *merger) rankByNode() {
	slices.SortFunc(m.order, func(a, b *mergedGroup) int {
		return cmp.Or(strings.Compare(a.row.Node, b.row.Node), cmp.Compare(severity(a.row.Msg), severity(b.row.Msg)),
			cmp.Compare(b.count, a.count), cmp.Compare(a.series, b.series))
	})
	for i, g := range m.order[min(1, len(m.order)):] {
		if before := m.order[i]; before.row.Node == g.row.Node && before.row.Msg == g.row.Msg {
			g.rank = before.rank + 1
		}
	}
}

// size is how many bytes of text a group takes with its first variant.
func (g *mergedGroup) size() int {
	n := len(client(g.row)) + len(write(g.row))
	for _, v := range g.row.Violations {
		n += len(v.Rule) + len(v.Policy)
	}
	return n + g.order[0].size()
}

func (v *variant) size() int {
	n := len(object(v.row)) + len(v.row.Boot) + len(v.row.UID)
	for _, violation := range v.row.Violations {
		n += len(violation.Detail)
	}
	return n
}

// chooseVariants returns the variants of each group that are listed, the largest first: at most limit of all groups, and at
// most budget bytes beyond the first of each. It takes one more of each group in turn, and denied groups come first.
func chooseVariants(groups []*mergedGroup, limit, budget int) [][]*variant {
	chosen := make([][]*variant, len(groups))
	for i, g := range groups {
		slices.SortStableFunc(g.order, func(a, b *variant) int { return cmp.Compare(b.count, a.count) })
		chosen[i] = g.order[:1]
		limit--
	}
	isDenied := func(g *mergedGroup) bool { return g.row.Msg == policy.Denied }
	for _, denied := range []bool{true, false} {
		for n, more := 1, true; more; n++ {
			more = false
			for i, g := range groups {
				if isDenied(g) != denied || n >= len(g.order) {
					continue
				}
				if budget -= g.order[n].size(); budget < 0 || limit <= 0 {
					return chosen
				}
				limit--
				chosen[i] = g.order[:n+1]
				more = true
			}
		}
	}
	return chosen
}
