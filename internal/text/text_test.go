// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package text_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"noderestriction.plus/internal/text"
)

func TestQuoteAllCountsWhatItLeavesOut(t *testing.T) {
	if got, want := text.QuoteAll(strings.Split("abcdefghij", "")), `"a", "b", "c", "d", "e", "f", "g", "h" and 2 more`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzText(f *testing.F) {
	f.Add("worker-1", 8)
	f.Add(strings.Repeat("é", 200), 101)
	f.Add("\x00\xff\u202e\n", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		quoted := text.Quote(s)
		if _, err := strconv.Unquote(strings.TrimSuffix(quoted, "...")); err != nil || !utf8.ValidString(quoted) {
			t.Errorf("%q is not quoted: %s", s, quoted)
		}
		if n := utf8.RuneCountInString(quoted); n > text.MaxQuoted*len(`\U0010ffff`)+len(`"..."`)+1 {
			t.Errorf("%d characters", n)
		}
		if limit < 3 || limit > 1<<16 {
			return
		}
		if cut := text.Cut(s, limit); len(cut) > limit || utf8.ValidString(s) && !utf8.ValidString(cut) {
			t.Errorf("%q cut at %d is %q", s, limit, cut)
		}
	})
}

func TestEscape(t *testing.T) {
	for given, want := range map[string]string{
		"":                     "",
		"plain ünïcode":        "plain ünïcode",
		"\x1b[31mred\r\n":      `\x1b[31mred\r\n`,
		"\u202eright to left":  `\u202eright to left`,
		"\xff":                 "\ufffd",
		"a \"quoted\" 'value'": `a "quoted" 'value'`,
	} {
		if got := text.Escape(given); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}
