// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package input_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"noderestriction.plus/internal/input"
)

func encode(text string, big bool) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		if big {
			b = append(b, byte(unit>>8), byte(unit))
		} else {
			b = append(b, byte(unit), byte(unit>>8))
		}
	}
	return string(b)
}

func zip(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReader(t *testing.T) {
	const text = "{\"a\": \"ü 😀\"}\r\n"
	for name, test := range map[string]struct{ given, want string }{
		"nothing":                               {"", ""},
		"one byte":                              {"a", "a"},
		"UTF-8":                                 {text, text},
		"a byte order mark":                     {"\ufeff" + text, text},
		"gzip":                                  {zip(t, text), text},
		"gzip, with a byte order mark":          {zip(t, "\ufeff"+text), text},
		"UTF-16, little endian":                 {encode("\ufeff"+text, false), text},
		"UTF-16, big endian":                    {encode("\ufeff"+text, true), text},
		"UTF-16 without a byte order mark":      {encode(text, true), text},
		"UTF-16 in gzip":                        {zip(t, encode(text, false)), text},
		"UTF-16 with half a character":          {encode("\ufeffab", false) + "\x00", "ab\ufffd"},
		"UTF-16 with half a surrogate pair":     {encode("\ufeffa", false) + "\x3d\xd8", "a\ufffd"},
		"UTF-16 with surrogates in wrong order": {encode("\ufeffa", false) + "\x00\xde\x3d\xd8b\x00", "a\ufffd\ufffdb"},
		"zeros of a file that was truncated":    {"\x00\x00\x00a", "\x00\x00\x00a"},
		"Latin-1 stays as it is":                {"\xfcber", "\xfcber"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.given), iotest.OneByteReader(strings.NewReader(test.given))} {
				in, err := input.NewReader(r)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(in)
				if err != nil || string(got) != test.want {
					t.Errorf("got %q, %v, want %q", got, err, test.want)
				}
			}
		})
	}
}

func TestReadAllIsBounded(t *testing.T) {
	bomb := zip(t, strings.Repeat("a", 3<<20))
	if _, err := input.ReadAll(strings.NewReader(bomb), 2<<20); err == nil || err.Error() != "larger than 2 MiB" {
		t.Errorf("got %v", err)
	}
	if data, err := input.ReadAll(strings.NewReader(bomb), 3<<20); err != nil || len(data) != 3<<20 {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
}

// FuzzReader reads anything, in one piece and byte by byte, with the same result.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\xff\xfea\x00b\x00"))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte("\x00a\x00b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, err := input.ReadAll(bytes.NewReader(data), 1<<20)
		single, singleErr := input.ReadAll(iotest.OneByteReader(bytes.NewReader(data)), 1<<20)
		if !bytes.Equal(whole, single) || (err == nil) != (singleErr == nil) {
			t.Errorf("in one piece: %q, %v\nbyte by byte: %q, %v", whole, err, single, singleErr)
		}
	})
}
