// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"bytes"
	"math"
	"testing"
	"time"

	"noderestriction.plus/internal/denials/page"
	"noderestriction.plus/internal/denials/pagetest"
)

// pageOf returns a page with one text wherever a page has a text.
func pageOf(t *testing.T, s string) []byte {
	t.Helper()
	text := page.Text(s)
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	id := page.ID{Boot: text, Seq: 7, UID: text}
	intervals := []page.Interval{{N: at.Unix(), Count: 2}}
	p := page.Page{
		Title: text, MadeAt: at, Period: text, Files: []page.Text{text}, MoreFiles: 1, Filters: []page.Text{text}, Unsure: text,
		Verdict: text, Summary: text, Problems: []page.Text{text}, Rest: 1, Step: time.Second,
		Totals: []page.Total{{Class: text, Label: text, Count: 2}},
		Rules:  []page.Rule{{ID: text, Title: text}},
		Groups: []page.Group{{
			Class: text, Action: text, Node: text, Write: text, Violated: []page.Violated{{Rule: text, Policy: text}},
			Count: 2, First: at, Last: at, Intervals: intervals, Further: 1,
			Variants: []page.Variant{{Object: text, Details: []page.Text{text}, Count: 1, First: at, Last: at, ID: id}},
		}},
		Left:  []page.Left{{Class: text, Sentence: text, Intervals: intervals}},
		Rows:  []page.Row{{Time: at, Object: text, Details: []page.Text{text}, ID: id}},
		Older: text,
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

func TestNumbersHaveSeparators(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 12: "12", 999: "999", 1000: "1,000", 25_813: "25,813", 100_000: "100,000", 1_234_567: "1,234,567",
		math.MaxUint64: "18,446,744,073,709,551,615",
	} {
		if got := page.Number(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
