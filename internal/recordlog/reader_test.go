// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/internal/text"
)

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sequence is the numbers of the records among lines, with -1 for a line that cannot be read and -2 for one that is cut.
func sequence(lines []recordlog.Line) []int {
	var all []int
	for _, line := range lines {
		switch {
		case line.Cut:
			all = append(all, -2)
		case line.Kind == recordlog.Unparsable:
			all = append(all, -1)
		case line.Kind == recordlog.Full || line.Kind == recordlog.Compact:
			all = append(all, int(line.Record.Seq))
		}
	}
	return all
}

func wantSequence(t *testing.T, lines []recordlog.Line, want ...int) {
	t.Helper()
	got := sequence(lines)
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestACompressedLogIsRead(t *testing.T) {
	one, two := zipped(t, full(1)+"\n"), zipped(t, full(2)+"\n")
	wantSequence(t, readLines(t, bytes.NewReader(append(one, two...))), 1, 2)
}

func TestACompressedLogThatIsCutIsSaidToBe(t *testing.T) {
	data := zipped(t, full(1)+"\n"+full(2)+"\n")
	for _, keep := range []int{len(data) - 1, len(data) - 8, 5} {
		lines := readLines(t, bytes.NewReader(data[:keep]))
		if len(lines) == 0 || !lines[len(lines)-1].Cut {
			t.Errorf("%d of %d bytes: got %v", keep, len(data), sequence(lines))
		}
	}
}

func TestACompressedLogThatIsDamagedCannotBeRead(t *testing.T) {
	data := zipped(t, full(1)+"\n")
	data[len(data)-5] ^= 1 // its checksum
	reader, err := recordlog.NewReader(bytes.NewReader(data))
	for err == nil {
		_, err = reader.Next()
	}
	if !errors.Is(err, gzip.ErrChecksum) {
		t.Errorf("got %v", err)
	}
}

func TestALogThatCannotBeReadIsAnError(t *testing.T) {
	broken := errors.New("broken")
	if _, err := recordlog.NewReader(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("at the beginning: got %v", err)
	}
	reader, err := recordlog.NewReader(io.MultiReader(strings.NewReader(full(1)+"\n"), iotest.ErrReader(broken)))
	if err != nil {
		t.Fatal(err)
	}
	if line, err := reader.Next(); err != nil || line.Record.Seq != 1 {
		t.Errorf("got %+v, %v", line, err)
	}
	if _, err := reader.Next(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestTheLastLineMayBeCut(t *testing.T) {
	for name, test := range map[string]struct {
		end  string
		want []int
	}{
		"nothing after the line end":          {"", []int{1}},
		"a whole record without its line end": {full(2), []int{1, 2}},
		"half a record":                       {full(2)[:200], []int{1, -2}},
		"the first bytes of a record":         {full(2)[:3], []int{1, -2}},
		"half a foreign line":                 {`{"level":"in`, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			wantSequence(t, readLines(t, strings.NewReader(full(1)+"\n"+test.end)), test.want...)
			wantSequence(t, readLines(t, iotest.OneByteReader(strings.NewReader(full(1)+"\n"+test.end))), test.want...)
		})
	}
}

func TestPiecesOfALineAreJoined(t *testing.T) {
	const at = "2026-11-24T08:00:00.1Z "
	a, b := full(1)[:250], full(1)[250:]
	for name, test := range map[string]struct {
		log  []string
		want []int
	}{
		"in two pieces":   {[]string{at + "stdout P " + a, at + "stdout F " + b}, []int{1}},
		"in three pieces": {[]string{at + "stdout P " + a, at + "stdout P " + b, at + "stdout F "}, []int{1}},
		"with a line of the other stream between": {
			[]string{at + "stdout P " + a, at + "stderr F text", at + "stderr P more", at + "stdout F " + b}, []int{1},
		},
		"with a line of another pod between": {
			[]string{"[pod/a/x] " + at + "stdout P " + a, "[pod/b/x] " + at + "stdout F " + full(2), "[pod/a/x] " + at + "stdout F " + b},
			[]int{2, 1},
		},
		"without the last one":      {[]string{at + "stdout F " + full(2), at + "stdout P " + a}, []int{2, -2}},
		"without an empty last one": {[]string{at + "stdout P " + full(1)}, []int{-2}},
		"without the first one":     {[]string{at + "stdout F " + b, at + "stdout F " + full(2)}, []int{-1, 2}},
		"longer than any record": {
			[]string{at + "stdout P " + a, at + "stdout P " + strings.Repeat("x", 9000), at + "stdout F " + b}, []int{-1},
		},
		"of a line that is no record": {[]string{at + "stdout P hello", at + "stdout F world", at + "stdout P x"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			wantSequence(t, readLines(t, strings.NewReader(strings.Join(test.log, "\n")+"\n")), test.want...)
		})
	}
}

func TestManyUnfinishedLinesTakeBoundedMemory(t *testing.T) {
	var log strings.Builder
	for i := range 1000 {
		log.WriteString("[pod/p" + strings.Repeat("x", i) + "/c] 2026-11-24T08:00:00Z stdout P " + full(1)[:200] + "\n")
	}
	lines := readLines(t, strings.NewReader(log.String()))
	if len(lines) != 1000 {
		t.Errorf("got %d lines", len(lines))
	}
	for _, line := range lines {
		if line.Kind != recordlog.Unparsable || len(line.Source) > 512 {
			t.Fatalf("got %+v", line)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		full(1) + "\n" + compact(2) + "\n" + lost(1, 3, 3) + "\n",
		"[pod/a/b] 2026-11-24T08:00:00Z stdout P " + full(1)[:99] + "\n[pod/a/b] 2026-11-24T08:00:00Z stdout F " + full(1)[99:],
		"\x00\x00" + full(1)[:300],
		string(zipped(f, full(1))),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		reader, err := recordlog.NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		log := recordlog.NewLog()
		var records uint64
		for {
			line, err := reader.Next()
			if err != nil {
				break
			}
			if entry := log.Add("fuzz", &line); entry != nil {
				records++
				checkEntry(t, entry)
			}
		}
		if found := log.Verify(recordlog.Allowances{}); found.Records != records || found.Complete && (found.Missing > 0 || found.Unparsable > 0) {
			t.Errorf("%d records, found %+v", records, found)
		}
	})
}

// checkEntry fails for a record that no view should be given.
func checkEntry(t *testing.T, e *recordlog.Entry) {
	t.Helper()
	if e.Boot == "" || e.Seq == 0 {
		t.Errorf("got %+v", e)
	}
	for _, value := range []string{e.Boot, e.Node, e.User, e.Target(), e.Namespace, e.Name, e.UID, e.Source} {
		if value != text.Printable(value) || len(value) > 20_000 {
			t.Errorf("not printable or not bounded: %q", value)
		}
	}
}

func TestAPieceWithoutALineEndIsTheBeginningOfALine(t *testing.T) {
	lines := readLines(t, strings.NewReader("2026-11-24T08:00:00Z stdout P "+full(1)[:200]))
	wantSequence(t, lines, -2)
}
