// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"noderestriction.plus/internal/record"
)

// Row is a record together with the violations that matter of it.
type Row struct {
	Entry
	Violations []record.Violation

	n int // in the order of the log
}

// Newest keeps the newest of the rows that are added, in memory for as many as it keeps.
type Newest struct {
	limit int
	rows  rows
	n     int
}

// NewNewest returns a Newest that keeps limit rows, or all if that is 0.
func NewNewest(limit int) *Newest { return &Newest{limit: limit} }

// Add adds a copy of a row.
func (n *Newest) Add(e *Entry, violations []record.Violation) {
	row := &Row{Entry: *e, Violations: violations, n: n.n}
	n.n++
	switch {
	case n.limit == 0:
		n.rows = append(n.rows, row)
	case len(n.rows) < n.limit:
		heap.Push(&n.rows, row)
	case row.compare(n.rows[0]) > 0:
		n.rows[0] = row
		heap.Fix(&n.rows, 0)
	}
}

// Added is how many rows were added.
func (n *Newest) Added() int { return n.n }

// Sorted returns the rows that were kept, the oldest first.
func (n *Newest) Sorted() []*Row { return slices.SortedFunc(slices.Values(n.rows), (*Row).compare) }

// compare orders rows by time, and rows of the same time as they were in the log.
func (r *Row) compare(other *Row) int {
	return cmp.Or(time.Time(r.Time).Compare(time.Time(other.Time)), cmp.Compare(r.n, other.n))
}

// rows is a heap with the oldest on top.
type rows []*Row

func (r rows) Len() int           { return len(r) }
func (r rows) Less(i, j int) bool { return r[i].compare(r[j]) < 0 }
func (r rows) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *rows) Push(x any)        { *r = append(*r, x.(*Row)) }

func (r *rows) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
