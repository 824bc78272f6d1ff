// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/record"
)

// Dimension is a value by which records are counted.
type Dimension string

// The dimensions.
const (
	ByNode      Dimension = "node"
	ByRule      Dimension = "rule"
	ByPolicy    Dimension = "policy"
	ByResource  Dimension = "resource" // such as nodes/status
	ByOperation Dimension = "operation"
	ByUser      Dimension = "user"
	ByAccount   Dimension = "account" // of a node agent
	ByNamespace Dimension = "namespace"
	ByName      Dimension = "name"
	ByAction    Dimension = "action" // denied, warned, audited or probed
	ByField     Dimension = "field"
	ByBoot      Dimension = "boot"
	ByEnforcer  Dimension = "enforcer" // webhook or API server
	ByHour      Dimension = "hour"
	ByMinute    Dimension = "minute"
)

// Dimensions returns all dimensions.
func Dimensions() []Dimension {
	return []Dimension{
		ByNode, ByRule, ByPolicy, ByResource, ByOperation, ByUser, ByAccount, ByNamespace, ByName, ByAction, ByField, ByBoot, ByEnforcer,
		ByHour, ByMinute,
	}
}

// ofViolation reports whether each violation of a record has its own value.
func (d Dimension) ofViolation() bool { return d == ByRule || d == ByPolicy || d == ByField }

// ofTime reports whether the values are times, which are shown in their order.
func (d Dimension) ofTime() bool { return d == ByHour || d == ByMinute }

// maxGroups bounds the memory for groups: about 200 bytes each.
const maxGroups = 1 << 20

// Groups counts records by the values that they have in some dimensions. A record with several violations is in several
// groups if their rules, policies or fields differ, and in each once.
type Groups struct {
	by     []Dimension
	groups map[string]*Group
	order  []*Group
	n      uint64 // records that were added
	other  uint64 // times that a record was not counted because there were too many groups
	key    []byte
}

// Group is how many records have the same values, and when the first and the last were.
type Group struct {
	Values      []string // in the order of the dimensions
	Count       uint64
	First, Last time.Time

	latest uint64 // the record that was counted last
}

// NewGroups returns Groups by some dimensions.
func NewGroups(by ...Dimension) *Groups { return &Groups{by: by, groups: map[string]*Group{}} }

// Add counts a record with its selected violations.
func (g *Groups) Add(e *Entry, violations []record.Violation) {
	g.n++
	if len(violations) == 0 || !slices.ContainsFunc(g.by, Dimension.ofViolation) {
		violations = []record.Violation{{}}
		if len(e.Violations) > 0 {
			violations = e.Violations[:1]
		}
	}
	for i := range violations {
		g.count(e, &violations[i])
	}
}

func (g *Groups) count(e *Entry, v *record.Violation) {
	g.key = g.key[:0]
	for _, d := range g.by {
		g.key = append(d.appendValue(g.key, e, v), 0) // which is in no value, for it does not print
	}
	at := time.Time(e.Time)
	group, ok := g.groups[string(g.key)]
	if !ok {
		if len(g.groups) == maxGroups {
			g.other++
			return
		}
		values := strings.Split(string(g.key[:len(g.key)-1]), "\x00")
		group = &Group{Values: values, First: at, Last: at}
		g.groups[string(g.key)] = group
		g.order = append(g.order, group)
	}
	if group.latest == g.n {
		return
	}
	group.latest = g.n
	group.Count++
	if at.Before(group.First) {
		group.First = at
	}
	if at.After(group.Last) {
		group.Last = at
	}
}

func (d Dimension) appendValue(b []byte, e *Entry, v *record.Violation) []byte {
	const hour, minute = "2006-01-02T15:00Z", "2006-01-02T15:04Z"
	switch d {
	case ByNode:
		return append(b, e.Node...)
	case ByRule:
		return append(b, v.Rule...)
	case ByPolicy:
		return append(b, v.Policy...)
	case ByResource:
		return append(b, e.Target()...)
	case ByOperation:
		return append(b, e.Operation...)
	case ByUser:
		return append(b, e.User...)
	case ByAccount:
		return append(b, e.Account...)
	case ByNamespace:
		return append(b, e.Namespace...)
	case ByName:
		return append(b, e.Name...)
	case ByAction:
		return append(b, e.Msg...)
	case ByField:
		return append(b, v.Field...)
	case ByBoot:
		return append(b, e.Boot...)
	case ByEnforcer:
		return append(b, e.Enforcer...)
	case ByHour:
		return time.Time(e.Time).UTC().AppendFormat(b, hour)
	case ByMinute:
		return time.Time(e.Time).UTC().AppendFormat(b, minute)
	}
	return b
}

// Records returns how many records were added.
func (g *Groups) Records() uint64 { return g.n }

// Other returns how many times a record was not counted because there were more than a million groups.
func (g *Groups) Other() uint64 { return g.other }

// Len is the number of groups.
func (g *Groups) Len() int { return len(g.order) }

// Sorted returns the groups, the largest first; if the first dimension is of time, in the order of time.
func (g *Groups) Sorted() []*Group {
	byTime := len(g.by) > 0 && g.by[0].ofTime()
	return slices.SortedFunc(slices.Values(g.order), func(a, b *Group) int {
		if byTime {
			if c := cmp.Compare(a.Values[0], b.Values[0]); c != 0 {
				return c
			}
		}
		return cmp.Or(cmp.Compare(b.Count, a.Count), slices.Compare(a.Values, b.Values))
	})
}
