// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package input reads text files as people and tools store them: compressed with gzip, with a byte order mark, in UTF-16, with any
// line ends. Archives and other compressions are refused with a sentence that says what they are.
package input

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// bufferSize is how much is read at once, in bytes.
const bufferSize = 64 << 10

// Reader reads a text as UTF-8 without a byte order mark.
type Reader struct {
	raw  *bufio.Reader // what was given
	text *bufio.Reader // raw, or what it decodes to
}

// NewReader returns a reader of the text in r. It waits for the first bytes. The error says which format r has if that cannot be
// read. A gzip stream that is cut short is read up to there, and then gives [io.ErrUnexpectedEOF].
func NewReader(r io.Reader) (*Reader, error) {
	raw := bufio.NewReaderSize(r, bufferSize)
	if _, err := raw.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	in := &Reader{raw: raw, text: raw}
	if hasPrefix(raw, "\x1f\x8b") {
		unzipped, err := gzip.NewReader(raw)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			in.text = bufio.NewReader(failing{err})
			return in, nil
		case err != nil:
			return nil, err
		}
		in.text = bufio.NewReaderSize(unzipped, bufferSize)
	}
	if err := refuse(in.text); err != nil {
		return nil, err
	}
	if hasPrefix(in.text, "\xef\xbb\xbf") {
		_, _ = in.text.Discard(3) // it is buffered
	}
	if units := utf16Of(in.text); units != nil {
		in.text = bufio.NewReaderSize(units, bufferSize)
	}
	return in, nil
}

// Read reads text.
func (r *Reader) Read(p []byte) (int, error) { return r.text.Read(p) }

// Buffered returns how many bytes can be read without waiting for the source, at least.
func (r *Reader) Buffered() int { return r.text.Buffered() + r.raw.Buffered() }

// ReadAll reads a whole text of at most limit bytes, after it is decompressed.
func ReadAll(r io.Reader, limit int) ([]byte, error) {
	in, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("larger than %d MiB", limit>>20)
	}
	return data, err
}

// hasPrefix reports whether the next bytes are these. It does not wait for more bytes than it needs to tell.
func hasPrefix(r *bufio.Reader, prefix string) bool {
	for n := 1; n <= len(prefix); n++ {
		next, _ := r.Peek(n)
		if string(next) != prefix[:n] {
			return false
		}
	}
	return true
}

// failing is a reader of nothing but an error.
type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

// refuse returns an error for a format that is not text.
func refuse(r *bufio.Reader) error {
	for _, format := range []struct{ magic, name, hint string }{
		{"\x28\xb5\x2f\xfd", "zstd", "decompress it first: zstd -dc FILE"},
		{"BZh", "bzip2", "decompress it first: bzip2 -dc FILE"},
		{"\xfd7zXZ\x00", "xz", "decompress it first: xz -dc FILE"},
		{"\x04\x22\x4d\x18", "lz4", "decompress it first: lz4 -dc FILE"},
		{"\x1f\x8b", "gzip within gzip", "decompress it first: gzip -dc FILE"},
		{"PK\x03\x04", "zip", "extract its files first"},
	} {
		if hasPrefix(r, format.magic) {
			return fmt.Errorf("the input is in the format %s, which is not read: %s", format.name, format.hint)
		}
	}
	if isTar(r) {
		return errors.New("the input is a tar archive, which is not read: extract its files first, such as tar -xOf FILE")
	}
	return nil
}

// isTar reports whether a tar header follows. Its name is filled up with zeros.
func isTar(r *bufio.Reader) bool {
	const magicAt, magic = 257, "ustar"
	if first, _ := r.Peek(1); len(first) == 0 || first[0] == 0 {
		return false
	}
	buffered, _ := r.Peek(min(r.Buffered(), magicAt+len(magic)))
	return len(buffered) == magicAt+len(magic) && string(buffered[magicAt:]) == magic
}

// utf16Of returns a reader that decodes what follows from UTF-16, or nil if that is not in UTF-16. Without a byte order mark, text
// is UTF-16 if every other of its first four bytes is zero: the documents and logs that we read begin with ASCII.
func utf16Of(r *bufio.Reader) io.Reader {
	next, _ := r.Peek(2)
	if len(next) < 2 {
		return nil
	}
	switch {
	case bytes.Equal(next, []byte{0xff, 0xfe}), bytes.Equal(next, []byte{0xfe, 0xff}):
		_, _ = r.Discard(2) // it is buffered
		return &utf16Reader{r: r, big: next[0] == 0xfe}
	case (next[0] == 0) == (next[1] == 0):
		return nil
	}
	if next, _ = r.Peek(4); len(next) == 4 && (next[0] == 0) == (next[2] == 0) && (next[1] == 0) == (next[3] == 0) {
		return &utf16Reader{r: r, big: next[0] == 0}
	}
	return nil
}

// utf16Reader reads UTF-16 as UTF-8. What is not well-formed becomes U+FFFD.
type utf16Reader struct {
	r    *bufio.Reader
	big  bool   // big endian
	text []byte // decoded and not yet read
	high rune   // a high surrogate that waits for its low one, or 0
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.text) == 0 {
		if err := u.decode(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.text)
	u.text = u.text[n:]
	return n, nil
}

// decode decodes at least one unit, and no more than what can be read without waiting.
func (u *utf16Reader) decode() error {
	if _, err := u.r.Peek(2); err != nil {
		if rest := u.r.Buffered(); rest > 0 || u.high != 0 {
			_, _ = u.r.Discard(rest) // it is buffered
			u.high, u.text = 0, utf8.AppendRune(nil, utf8.RuneError)
			return nil
		}
		return err
	}
	chunk, _ := u.r.Peek(u.r.Buffered() &^ 1)
	u.text = make([]byte, 0, len(chunk))
	for i := 0; i < len(chunk); i += 2 {
		unit := rune(chunk[i]) | rune(chunk[i+1])<<8
		if u.big {
			unit = rune(chunk[i])<<8 | rune(chunk[i+1])
		}
		u.add(unit)
	}
	_, _ = u.r.Discard(len(chunk)) // it is buffered
	return nil
}

// add appends a unit to the text.
func (u *utf16Reader) add(unit rune) {
	if high := u.high; high != 0 {
		u.high = 0
		if r := utf16.DecodeRune(high, unit); r != utf8.RuneError {
			u.text = utf8.AppendRune(u.text, r)
			return
		}
		u.text = utf8.AppendRune(u.text, utf8.RuneError)
	}
	if unit >= 0xd800 && unit < 0xdc00 {
		u.high = unit
		return
	}
	u.text = utf8.AppendRune(u.text, unit) // a low surrogate alone becomes U+FFFD
}
