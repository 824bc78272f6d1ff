// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package text_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"noderestriction.plus/internal/text"
)

func TestQuoteAllCountsWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	if got, want := text.QuoteAll(strings.Split("abcdefghij", "")), `"a", "b", "c", "d", "e", "f", "g", "h" and 2 more`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		in    string
		limit int
		want  string
	}{
		{"a text of the limit stays", "abcdef", 6, "abcdef"},
		{"one byte more is cut", "abcdefg", 6, "abc..."},
		{"a character is not cut in half", "节节节", 8, "节..."},
		{"a limit below the mark leaves a part of it", "abcdef", 2, ".."},
		{"a limit of nothing leaves nothing", "abcdef", 0, ""},
		{"a negative limit leaves nothing", "abcdef", -1, ""},
	} {
		if got := text.Cut(test.in, test.limit); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	const limit = 256
	long := strings.Repeat("a", 300)
	for _, test := range []struct{ name, in, want string }{
		{"short text stays", "worker-1", "worker-1"},
		{"nothing stays nothing", "", ""},
		{"other alphabets stay", "узел-1 节点", "узел-1 节点"},
		{"text of the limit stays", long[:limit], long[:limit]},
		{"one byte more is cut", long[:limit+1], long[:limit-3] + "..."},
		{"quotes count double", strings.Repeat(`"`, 129), strings.Repeat(`"`, 126) + "..."},
		{"angle brackets count six times", strings.Repeat("<", 43), strings.Repeat("<", 42) + "..."},
		{"a character is not cut in half", strings.Repeat("节", 86), strings.Repeat("节", 84) + "..."},
		{"a new line is escaped", "a\nb", `a\nb`},
		{"an escape sequence is escaped", "\x1b[2J", `\x1b[2J`},
		{"a C1 control is escaped", "\u009b2J", `\u009b2J`},
		{"a line separator is escaped", "a\u2028b", `a\u2028b`},
		{"a change of direction is escaped", "a\u202eb", `a\u202eb`},
		{"a zero byte is escaped", "a\x00b", `a\x00b`},
		{"invalid UTF-8 is escaped", "a\xffb", `a\xffb`},
		{"half a character is escaped", "节"[:2], `\xe8\x8a`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, size, cut := text.BoundSize(test.in, limit)
			if got != test.want || cut != strings.HasSuffix(test.want, "...") {
				t.Errorf("got %q, cut %v, want %q", got, cut, test.want)
			}
			if encoded := jsonSize(t, got); size != encoded {
				t.Errorf("got size %d, want %d", size, encoded)
			}
		})
	}
}

// jsonSize is how many bytes a text takes with the encoder that escapes most.
func jsonSize(t *testing.T, s string) int {
	t.Helper()
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return len(encoded) - len(`""`)
}

// hostile are seeds that one would choose to break a log, a terminal or a message.
func hostile() []string {
	return []string{
		"", "worker-1", strings.Repeat("é", 200), "\x00\xff\u202e\n", "\x1b[2J", "节"[:2], `","seq":1}`, "\u2028\u2029\ufeff\u009b\u007f",
		strings.Repeat("<&>", 100), strings.Repeat(`\"`, 100), "\U0010ffff" + strings.Repeat("\xf0\x9f", 100), "...", `\u2028`,
	}
}

// checkPrintable fails if a text could act on a terminal or begin a new line.
func checkPrintable(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("not valid UTF-8: %q", s)
	}
	for _, r := range s {
		if !strconv.IsPrint(r) {
			t.Errorf("%q does not print in %q", r, s)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := text.Quote(s)
		checkPrintable(t, quoted)
		value, err := strconv.Unquote(strings.TrimSuffix(quoted, "..."))
		if err != nil {
			t.Fatalf("%q is not quoted: %s", s, quoted)
		}
		if !strings.HasPrefix(s, value) || !strings.HasSuffix(quoted, "...") && value != s {
			t.Errorf("%q is quoted as %s", s, quoted)
		}
		if n := utf8.RuneCountInString(value); n > text.MaxQuoted {
			t.Errorf("%d characters of %q are quoted", n, s)
		}
	})
}

func FuzzCut(f *testing.F) {
	for i, s := range hostile() {
		f.Add(s, i)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		cut := text.Cut(s, limit)
		if len(cut) > max(limit, 0) {
			t.Errorf("%q cut at %d has %d bytes", s, limit, len(cut))
		}
		if utf8.ValidString(s) && !utf8.ValidString(cut) {
			t.Errorf("%q cut at %d is not valid UTF-8: %q", s, limit, cut)
		}
		if again := text.Cut(cut, limit); again != cut {
			t.Errorf("%q cut at %d again is %q", cut, limit, again)
		}
	})
}

func FuzzPrintable(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shown := text.Printable(s)
		checkPrintable(t, shown)
		if again := text.Printable(shown); again != shown {
			t.Errorf("%q made printable again is %q", shown, again)
		}
		if len(shown) > len(`\x00`)*len(s) {
			t.Errorf("%d bytes for %d", len(shown), len(s))
		}
	})
}

func FuzzBound(f *testing.F) {
	for i, s := range hostile() {
		f.Add(s, 4*i)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		bounded, size, cut := text.BoundSize(s, limit)
		checkPrintable(t, bounded)
		if size > max(limit, 0) || jsonSize(t, bounded) > size {
			t.Errorf("%q bounded to %d takes %d bytes in JSON, said to be %d", s, limit, jsonSize(t, bounded), size)
		}
		if !cut && bounded != text.Printable(s) {
			t.Errorf("%q was changed to %q and not cut", s, bounded)
		}
		if again := text.Bound(bounded, limit); again != bounded {
			t.Errorf("%q bounded to %d again is %q", bounded, limit, again)
		}
	})
}

func TestPrintableKeepsWhatPrints(t *testing.T) {
	for given, want := range map[string]string{
		"":                     "",
		"plain ünïcode":        "plain ünïcode",
		"\x1b[31mred\r\n":      `\x1b[31mred\r\n`,
		"\u202eright to left":  `\u202eright to left`,
		"\xff":                 `\xff`,
		"a \"quoted\" 'value'": `a "quoted" 'value'`,
	} {
		if got := text.Printable(given); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}
