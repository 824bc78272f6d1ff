// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"bytes"
	"testing"

	"noderestriction.plus/internal/denials/page"
	"noderestriction.plus/internal/denials/pagetest"
)

// pageOf returns a page with one text wherever a page has a text.
func pageOf(t *testing.T, s string) []byte {
	t.Helper()
	text := page.Text(s)
	p := &page.Page{
		From: text, To: text, Filters: []page.Text{text, text}, Unsure: text,
		Verdict: text, Summary: text, Problems: []page.Text{text, text}, Rest: 1,
		Totals: []page.Total{{Class: text, Label: text, Count: 1}},
		Chart: &page.Chart{
			Width: 10, Step: text, Max: text, Half: text, Start: text, Until: text, Title: text,
			Bars: []page.Bar{{
				Title: text, From: text, Counts: []uint64{1}, Segments: []page.Segment{{Class: text, Y: text, Height: text}},
			}},
		},
		Top: []page.Top{{
			ID: text, Title: text, Heading: text, Rows: []page.TopRow{{Name: text, Count: 1, Percent: text}}, Rest: 1,
		}},
		Rows: []page.Row{{
			Time: text, Class: text, Action: text, Node: text, Write: text, Object: text,
			Violations: []page.Violation{{Rule: text, Policy: text, Detail: text}}, Boot: text, Seq: 7, UID: text,
		}},
		Left: text,
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The log that a page is made of has no such text. The page does not rely on it.
func TestAPageEscapesWhateverItIsGiven(t *testing.T) {
	plain := pageOf(t, pagetest.Harmless)
	for name, text := range pagetest.HostileTexts() {
		t.Run(name, func(t *testing.T) { pagetest.CheckOutlines(t, plain, pageOf(t, text), text) })
	}
}
