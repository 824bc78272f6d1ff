// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import "noderestriction.plus/internal/record"

// maxRanges is how many ranges of missing records are named for each boot. All are counted.
const maxRanges = 1000

// Completeness is whether anything is missing in a log.
type Completeness struct {
	Allowed    Allowances `json:"-"`
	Complete   bool       `json:"complete"`
	Records    uint64     `json:"records"`    // distinct lines with a record
	Missing    uint64     `json:"missing"`    // numbers for which there is no record
	SaidLost   uint64     `json:"saidLost"`   // records that the log itself says it lost
	Duplicates uint64     `json:"duplicates"` // lines that were read again, and not counted again
	Conflicts  uint64     `json:"conflicts"`  // records with the number of another, and different from it
	Unparsable uint64     `json:"unparsable"` // lines that were meant as records and cannot be read
	Foreign    uint64     `json:"foreign"`    // other lines, which do not matter
	Boots      []Boot     `json:"boots"`
	Flaws      []Flaw     `json:"flaws,omitempty"` // the first 20 lines that cannot be read
}

// Boot is the part of a log that one process of the program wrote.
type Boot struct {
	Boot       string      `json:"boot"`
	Source     string      `json:"source,omitempty"` // such as pod/web-0/main, if kubectl said so
	Records    uint64      `json:"records"`
	First      uint64      `json:"firstSeq"`
	Last       uint64      `json:"lastSeq"`
	From       record.Time `json:"from,omitzero"`
	To         record.Time `json:"to,omitzero"`
	Missing    uint64      `json:"missing"`
	SaidLost   uint64      `json:"saidLost"`
	Duplicates uint64      `json:"duplicates"`
	Conflicts  uint64      `json:"conflicts"`
	// MissingRanges are the first 1,000 ranges of missing numbers. The first begins with 1 if the log begins late.
	MissingRanges []Range `json:"missingRanges,omitempty"`
	MoreRanges    int     `json:"moreRanges,omitempty"`
	// Conflicting are the first 20 numbers that several different records have.
	Conflicting []uint64 `json:"conflicting,omitempty"`
}

// Allowances are what is no flaw in a log.
type Allowances struct {
	Partial bool // records from before the first line of a process are not there
	// Copies: the inputs are copies of one another, so that records are read twice, and one copy has what another lost.
	Copies bool
}

// Verify says whether anything is missing, as far as the log can tell: it cannot tell what followed the last line of a
// process.
func (l *Log) Verify(allow Allowances) Completeness {
	c := Completeness{
		Allowed: allow, Unparsable: l.unparsable, Foreign: l.foreign, Flaws: l.flaws, Complete: l.unparsable == 0, Boots: []Boot{},
	}
	for _, a := range l.order {
		b := a.verify(allow.Partial)
		c.Complete = c.Complete && b.Missing == 0 && b.Conflicts == 0 && (allow.Copies || b.Duplicates == 0 && b.SaidLost == 0)
		c.Records += b.Records
		c.Missing += b.Missing
		c.SaidLost += b.SaidLost
		c.Duplicates += b.Duplicates
		c.Conflicts += b.Conflicts
		c.Boots = append(c.Boots, b)
	}
	return c
}

func (a *account) verify(partial bool) Boot {
	b := Boot{
		Boot: a.boot, Source: a.source, Records: a.records, First: a.first, Last: a.last,
		From: record.Time(a.from), To: record.Time(a.to),
		Duplicates: a.duplicates, Conflicts: a.conflicts, Conflicting: a.conflicting,
	}
	for l := range a.lost {
		b.SaidLost += l.Count
	}
	from := uint64(1)
	if partial {
		from = a.begin()
	}
	b.MissingRanges = a.missing(from)
	for _, r := range b.MissingRanges {
		b.Missing += r.Count()
	}
	if over := len(b.MissingRanges) - maxRanges; over > 0 {
		b.MissingRanges, b.MoreRanges = b.MissingRanges[:maxRanges], over
	}
	return b
}
