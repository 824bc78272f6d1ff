// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/internal/text"
)

// groupsView shows how many records there are by some dimensions.
type groupsView struct {
	groups *recordlog.Groups
	by     []recordlog.Dimension
	output *command.Output
	limit  int // 0: none
	w      io.Writer
	notes  io.Writer
}

func (v *groupsView) add(row *recordlog.Row) error {
	v.groups.Add(&row.Entry, row.Violations)
	return nil
}

// group is a group as it is printed.
type group struct {
	Count uint64            `json:"count"`
	By    map[string]string `json:"by"`
	First record.Time       `json:"first"`
	Last  record.Time       `json:"last"`

	values []string
}

func (v *groupsView) finish() error {
	sorted := v.groups.Sorted()
	if left := len(sorted) - v.limit; v.limit > 0 && left > 0 {
		sorted = sorted[:v.limit]
		notef(v.notes, "%s left out: --limit 0 shows all", count(left, "more group"))
	}
	if other := v.groups.Other(); other > 0 {
		notef(v.notes, "there are too many groups: %s not counted", count(other, "record"))
	}
	all := make([]group, len(sorted))
	for i, g := range sorted {
		all[i] = group{
			Count: g.Count, By: map[string]string{}, values: g.Values, First: record.Time(g.First), Last: record.Time(g.Last),
		}
		for n, d := range v.by {
			all[i].By[string(d)] = g.Values[n]
		}
	}
	if v.output.String() == formatCSV {
		return v.writeCSV(all)
	}
	return v.output.Write(v.w, command.NewList("DenialGroupList", all), func(w io.Writer) error { return v.writeTable(w, all) })
}

func (v *groupsView) writeTable(w io.Writer, all []group) error {
	if len(all) == 0 {
		return nil
	}
	t := command.Table{Header: []string{"COUNT"}}
	for _, d := range v.by {
		t.Header = append(t.Header, strings.ToUpper(string(d)))
	}
	t.Header = append(t.Header, "FIRST", "LAST")
	for _, g := range all {
		cells := []string{strconv.FormatUint(g.Count, 10)}
		for _, value := range g.values {
			cells = append(cells, orDash(value))
		}
		t.Add(append(cells, timeText(g.First), timeText(g.Last))...)
	}
	return t.Write(w)
}

func (v *groupsView) writeCSV(all []group) error {
	w := csv.NewWriter(v.w)
	header := []string{"count"}
	for _, d := range v.by {
		header = append(header, string(d))
	}
	if err := w.Write(append(header, "first", "last")); err != nil {
		return err
	}
	for _, g := range all {
		cells := append([]string{strconv.FormatUint(g.Count, 10)}, g.values...)
		if err := w.Write(text.Cells(append(cells, timeText(g.First), timeText(g.Last))...)); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
