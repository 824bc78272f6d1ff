// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import "noderestriction.plus/internal/record"

// maxRanges is the maximum number of ranges of missing records that are named per boot. All are counted.
const maxRanges = 1000

// Completeness is the result of verifying a log.
type Completeness struct {
	Allowed    Allowances `json:"-"`
	Complete   bool       `json:"complete"`
	Records    uint64     `json:"records"`    // distinct lines with a record
	Missing    uint64     `json:"missing"`    // numbers for which there is no record
	SaidLost   uint64     `json:"saidLost"`   // records that the log itself reports as lost
	Duplicates uint64     `json:"duplicates"` // lines that were read again, and not counted again
	Conflicts  uint64     `json:"conflicts"`  // different records with the number of another
	Unparsable uint64     `json:"unparsable"` // lines that should be records and cannot be parsed
	Foreign    uint64     `json:"foreign"`    // other lines, which do not matter
	Boots      []Boot     `json:"boots"`
	Flaws      []Flaw     `json:"flaws,omitempty"` // the first 20 unparsable lines
}

// Boot is the part of a log that one process wrote.
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
	// Conflicting are the first 20 numbers of conflicting records.
	Conflicting []uint64 `json:"conflicting,omitempty"`
}

// Allowances are what does not make a log incomplete.
type Allowances struct {
	Partial bool // records before the first line of a process are missing
	// Copies says that the inputs are copies of one log, so that records are read twice, and one copy may have what another lost.
	Copies bool
}

// Verify reports whether anything is missing. It cannot detect missing records after the last line of a process.
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

func (s *sequence) verify(partial bool) Boot {
	b := Boot{
		Boot: s.boot, Source: s.source, Records: s.records, First: s.first, Last: s.last,
		From: record.Time(s.from), To: record.Time(s.to),
		Duplicates: s.duplicates, Conflicts: s.conflicts, Conflicting: s.conflicting,
	}
	for l := range s.lost {
		b.SaidLost += l.Count
	}
	from := uint64(1)
	if partial {
		from = s.begin()
	}
	b.MissingRanges = s.missing(from)
	for _, r := range b.MissingRanges {
		b.Missing += r.Count()
	}
	if over := len(b.MissingRanges) - maxRanges; over > 0 {
		b.MissingRanges, b.MoreRanges = b.MissingRanges[:maxRanges], over
	}
	return b
}
