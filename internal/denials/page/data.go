// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"strconv"
	"time"
)

// data is what the script reads, as JSON. A text stands there once: everything else has its number.
type data struct {
	Texts []Text      `json:"texts"`
	Step  int64       `json:"step"` // of an interval, in seconds
	Rules [][2]int    `json:"rules"`
	All   []groupData `json:"groups"`
	Left  []leftData  `json:"left"`
	Rows  []rowData   `json:"rows"`

	numbers map[Text]int
}

type groupData struct {
	Class     int           `json:"class"`
	Action    int           `json:"action"`
	Node      int           `json:"node"`
	Write     int           `json:"write"`
	Violated  [][2]int      `json:"violated"`  // rule, policy
	Count     uint64        `json:"count"`     //
	First     int64         `json:"first"`     // milliseconds since the beginning of 1970, as are all times
	Last      int64         `json:"last"`      //
	Intervals []int64       `json:"intervals"` // the number of an interval, its count, the next number …
	Variants  []variantData `json:"variants"`
	Further   uint64        `json:"further"`
}

type variantData struct {
	Object  int    `json:"object"`
	Details []int  `json:"details"`
	Count   uint64 `json:"count"`
	First   int64  `json:"first"`
	Last    int64  `json:"last"`
	ID      [3]int `json:"id"` // boot, seq, UID
}

type leftData struct {
	Class     int     `json:"class"`
	Intervals []int64 `json:"intervals"`
}

type rowData struct {
	Group   int    `json:"group"`
	Time    int64  `json:"time"`
	Object  int    `json:"object"`
	Details []int  `json:"details"`
	ID      [3]int `json:"id"`
}

// data is the page as the script reads it.
func (p *Page) data() data {
	d := data{
		Step: int64(p.Step / time.Second), Texts: []Text{}, Rules: [][2]int{}, All: []groupData{}, Left: []leftData{}, Rows: []rowData{},
		numbers: map[Text]int{},
	}
	for _, r := range p.Rules {
		d.Rules = append(d.Rules, [2]int{d.text(r.ID), d.text(r.Title)})
	}
	for i := range p.Groups {
		d.All = append(d.All, d.group(&p.Groups[i]))
	}
	for _, l := range p.Left {
		d.Left = append(d.Left, leftData{d.text(l.Class), flat(l.Intervals)})
	}
	for i := range p.Rows {
		r := &p.Rows[i]
		d.Rows = append(d.Rows, rowData{
			Group: r.Group, Time: r.Time.UnixMilli(), Object: d.text(r.Object), Details: d.details(r.Details), ID: d.id(r.ID),
		})
	}
	return d
}

func (d *data) group(g *Group) groupData {
	shown := groupData{
		Class: d.text(g.Class), Action: d.text(g.Action), Node: d.text(g.Node), Write: d.text(g.Write), Violated: [][2]int{},
		Count: g.Count, First: g.First.UnixMilli(), Last: g.Last.UnixMilli(), Intervals: flat(g.Intervals),
		Variants: []variantData{}, Further: g.Further,
	}
	for _, v := range g.Violated {
		shown.Violated = append(shown.Violated, [2]int{d.text(v.Rule), d.text(v.Policy)})
	}
	for _, v := range g.Variants {
		shown.Variants = append(shown.Variants, variantData{
			Object: d.text(v.Object), Details: d.details(v.Details), Count: v.Count,
			First: v.First.UnixMilli(), Last: v.Last.UnixMilli(), ID: d.id(v.ID),
		})
	}
	return shown
}

// text is the number of a text.
func (d *data) text(t Text) int {
	n, known := d.numbers[t]
	if !known {
		n = len(d.Texts)
		d.numbers[t] = n
		d.Texts = append(d.Texts, t)
	}
	return n
}

func (d *data) details(all []Text) []int {
	numbers := make([]int, len(all))
	for i, t := range all {
		numbers[i] = d.text(t)
	}
	return numbers
}

// id is a record's identity. The number is a text, because it may be larger than a script can count.
func (d *data) id(id ID) [3]int {
	return [3]int{d.text(id.Boot), d.text(Text(strconv.FormatUint(id.Seq, 10))), d.text(id.UID)}
}

func flat(intervals []Interval) []int64 {
	all := make([]int64, 0, 2*len(intervals))
	for _, i := range intervals {
		all = append(all, i.N, int64(i.Count))
	}
	return all
}
