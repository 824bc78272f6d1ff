// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package page renders records of denials as an HTML page.
//
// The page needs no network and no other file. Whatever the records hold, it is shown as text: html/template escapes it for
// its place, none of it is in the style or the script, and a Content-Security-Policy allows only the style and the script that
// belong to the page.
package page

import (
	"bufio"
	"crypto/sha256"
	_ "embed" // for the template, the style and the script
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
)

//go:embed page.html.tmpl
var source string

//go:embed style.css
var style string

// script hides the rows that do not have each of the words that are searched for. It only ever reads the text of the page.
//
//go:embed script.js
var script string

// Text may have been chosen by an attacker. The page shows it in its printable form.
type Text string

// String returns the printable form.
func (t Text) String() string { return text.Printable(string(t)) }

// Page is what the page shows.
type Page struct {
	From, To Text // empty without a record
	Filters  []Text
	Unsure   Text // about records of which it is not known whether the filters match

	Verdict  Text // a class: good, bad or none
	Summary  Text
	Problems []Text
	Rest     int // problems beyond those

	Totals []Total
	Chart  *Chart // nil without a record
	Top    []Top
	Rows   []Row
	Left   Text // about rows that are left out
}

// Total is how many records there are of an action.
type Total struct {
	Class, Label Text
	Count        uint64
}

// Top shows who or what has most records.
type Top struct {
	ID, Title, Heading Text
	Rows               []TopRow
	Rest               int // rows beyond those
}

// TopRow is one of those that have most records.
type TopRow struct {
	Name    Text
	Count   uint64
	Percent Text // of the largest, for the bar
}

// Chart is a bar chart of the number of records over time, in units of a drawing that is stretched to its place: 10 to
// a bar and 100 from bottom to top.
type Chart struct {
	Width        int
	Step         Text
	Max, Half    Text // at the axis
	Bars         []Bar
	Start, Until Text
	Title        Text
}

// Bar is a bar of a chart: one segment on the other, and the area in which a pointer shows its title.
type Bar struct {
	X        int
	Title    Text // what the bar shows, in words
	From     Text
	Counts   []uint64 // one for each total
	Segments []Segment
}

// Segment is the part of a bar for one action.
type Segment struct{ Class, Y, Height Text }

// Row is a record.
type Row struct {
	Time, Class, Action, Node, Write, Object Text
	Violations                               []Violation
	Boot                                     Text
	Seq                                      uint64
	UID                                      Text
}

// Violation is a violation in a record.
type Violation struct{ Rule, Policy, Detail Text }

// document is what the template shows.
type document struct {
	*Page
	ContentPolicy string
	Style         template.CSS
	Script        template.JS
	MadeBy        string
}

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	t, err := template.New("page").Parse(source)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	err = t.Execute(out, document{
		Page: p, ContentPolicy: contentPolicy(),
		Style:  template.CSS(style), //nolint:gosec // It is embedded, and has nothing from outside.
		Script: template.JS(script), //nolint:gosec // So is this.
		MadeBy: program.Plugin + " " + program.Version(),
	})
	return errors.Join(err, out.Flush())
}

// contentPolicy is the Content-Security-Policy, which has the hashes of style and script.
func contentPolicy() string {
	return fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'",
		sourceHash(style), sourceHash(script))
}

// sourceHash is a text as a Content-Security-Policy names it.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
