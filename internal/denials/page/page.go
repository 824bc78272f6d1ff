// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package page renders records of denials as an HTML page.
//
// The page needs no network and no other file. Whatever the records hold, it is shown as text: html/template escapes it for
// its place, the script only ever sets it as the text of an element, and a Content-Security-Policy allows only the style and
// the script that belong to the page.
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
	"strconv"
	"time"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
)

//go:embed page.html.tmpl
var source string

//go:embed style.css
var style string

// script draws the chart and the lists, and filters them. Without it the page shows the first groups.
//
//go:embed script.js
var script string

// staticGroups is how many groups a browser without script shows.
const staticGroups = 100

// Text may have been chosen by an attacker. The page shows it in its printable form.
type Text string

// String returns the printable form.
func (t Text) String() string { return text.Printable(string(t)) }

// MarshalText returns the printable form. It never fails.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Page is what the page shows.
type Page struct {
	Title     Text // such as the name of the cluster; may be empty
	MadeAt    time.Time
	Period    Text // empty without a record
	Files     []Text
	MoreFiles int // beyond Files
	Filters   []Text
	Unsure    Text // about records that the filters may or may not match

	Verdict  Text // a class: good, bad or none
	Summary  Text
	Problems []Text
	Rest     int // problems beyond those

	Totals []Total
	Rules  []Rule  // those that occur and have a title
	Groups []Group // in the order in which they are listed
	Left   []Left  // records of groups that are not listed
	Step   time.Duration
	Rows   []Row // single records, the newest first
	Older  Text  // about single records that are not in the page
}

// Total is the number of records of an outcome.
type Total struct {
	Class, Label Text
	Count        uint64
}

// Rule is a rule with its title.
type Rule struct{ ID, Title Text }

// Group is records that are equal in everything but their object, their details and their time.
type Group struct {
	Class       Text // the outcome
	Action      Text // the outcome, with remarks
	Node, Write Text
	Violated    []Violated
	Count       uint64
	First, Last time.Time
	Intervals   []Interval // the Count over time
	Variants    []Variant
	Further     uint64 // records of the group that are not in Variants
}

// Violated is a rule that records violate, and its policy.
type Violated struct{ Rule, Policy Text }

// Variant is records of a group that are equal in everything but their time.
type Variant struct {
	Object      Text   // empty: it is the node itself
	Details     []Text // one for each of the group's Violated
	Count       uint64
	First, Last time.Time
	ID          ID // of the latest
}

// ID is what identifies a record.
type ID struct {
	Boot, UID Text
	Seq       uint64
}

// Interval is how many records there are in an interval of Page.Step, counted from the beginning of 1970.
type Interval struct {
	N     int64
	Count uint64
}

// Left is records of an outcome that are counted, but in none of the listed groups.
type Left struct {
	Class     Text
	Sentence  Text
	Intervals []Interval
}

// Row is a record.
type Row struct {
	Group   int // in Page.Groups; -1 if its group is not listed
	Time    time.Time
	Object  Text
	Details []Text
	ID      ID
}

// document is what the template shows.
type document struct {
	*Page
	ContentPolicy string
	Style         template.CSS
	Script        template.JS
	Data          data
	MadeBy        string
}

// Static returns the groups that are listed without the script.
func (d document) Static() []Group { return d.Groups[:min(len(d.Groups), staticGroups)] }

// Beyond says how many groups are not listed without the script, if any.
func (d document) Beyond() string {
	if len(d.Groups) <= staticGroups {
		return ""
	}
	return fmt.Sprintf("The first %d of %s groups", staticGroups, Number(uint64(len(d.Groups))))
}

// TitleOf returns the title of a rule, or nothing.
func (d document) TitleOf(id Text) Text {
	for _, r := range d.Rules {
		if r.ID == id {
			return r.Title
		}
	}
	return ""
}

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{"number": Number, "clock": clock}).Parse(source)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	err = t.Execute(out, document{
		Page: p, ContentPolicy: contentPolicy(), Data: p.data(),
		Style:  template.CSS(style), //nolint:gosec // It is embedded, and has nothing from outside.
		Script: template.JS(script), //nolint:gosec // So is this.
		MadeBy: program.Plugin + " " + program.Version(),
	})
	return errors.Join(err, out.Flush())
}

// clock is a time as the page shows it.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// Number is a number with a comma before every three digits.
func Number(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
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
