// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/input"
)

const (
	// MaxDocument is the size of the largest JSON document that is read, in bytes; the webhook's limit for a body is the same.
	MaxDocument = 32 << 20
	// MaxBlock is the size of the largest YAML document that is read, in bytes. YAML costs about a second for each 4 MiB.
	MaxBlock = 8 << 20
)

// Stream reads the documents of a stream one by one: JSON values, concatenated or one on each line, YAML documents between lines that
// begin with "---" or "...", or a mix of both. It holds one document at a time and reads no further than its end, so that the
// writer of the stream can wait for the answer before it writes the next document.
type Stream struct {
	r      *bufio.Reader
	limit  int    // of the size of a document, in bytes
	block  int    // of the size of a YAML document in block style, in bytes
	text   []byte // of the document that is being read
	line   int    // number of the line that is read next, from 1
	column int    // number of the byte in the line that is read next, from 1
	offset int64  // of what is read next, in bytes
	number int    // of the last document, from 1
}

// Document is one document of a stream.
type Document struct {
	Text   []byte // as it stands in the stream; valid until the next document is read
	Number int    // among the documents of the stream, from 1
	Line   int    // where it begins, from 1
	Column int    // where it begins in the line, in bytes, from 1
	Offset int64  // where it begins, in bytes
}

// String says which document it is, and where it begins.
func (d Document) String() string {
	return fmt.Sprintf("document %d (line %d, byte %d)", d.Number, d.Line, d.Offset)
}

// NewStream returns a stream of the documents in r, which may be compressed or in another encoding as package input says.
func NewStream(r io.Reader) (*Stream, error) {
	in, err := input.NewReader(r)
	if err != nil {
		return nil, err
	}
	return &Stream{r: bufio.NewReaderSize(in, 64<<10), limit: MaxDocument, block: MaxBlock, line: 1, column: 1}, nil
}

// Next reads the next document. Empty ones are skipped and not counted. At the end of the stream it returns io.EOF. Other errors name
// the document and where it begins; after one the stream cannot be read any further.
func (s *Stream) Next() (Document, error) {
	for {
		first, err := s.skip()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				err = fmt.Errorf("after document %d (line %d, byte %d): %w", s.number, s.line, s.offset, err)
			}
			return Document{}, err
		}
		doc := Document{Number: s.number + 1, Line: s.line, Column: s.column, Offset: s.offset}
		if first == '{' || first == '[' {
			err = s.readFlow()
		} else {
			doc.Column -= len(s.text) // the indentation of the first line belongs to it
			err = s.readBlock()
		}
		if err != nil {
			return Document{}, fmt.Errorf("%s: %w", doc, err)
		}
		if trimmed := string(bytes.TrimSpace(s.text)); trimmed != "null" && trimmed != "~" {
			s.number++
			doc.Text = s.text
			return doc, nil
		}
	}
}

// skip skips white space, comments and document markers and returns the byte with which the next document begins, not yet read. The
// indentation of its first line, which means something in YAML, is left in s.text.
func (s *Stream) skip() (byte, error) {
	s.text = s.text[:0]
	for lineStart := true; ; {
		next, err := s.r.Peek(1)
		if err != nil {
			return 0, err
		}
		switch c := next[0]; {
		case c == '\n':
			s.text = s.text[:0]
			s.advance(next)
			lineStart = true
		case c == ' ' || c == '\t' || c == '\r':
			s.text = append(s.text, c)
			s.advance(next)
			lineStart = false
		case c == '#':
			if err := s.skipLine(); err != nil {
				return 0, err
			}
		case lineStart && s.atMarker():
			marker, _ := s.r.Peek(3)
			s.advance(marker)
			lineStart = false
		default:
			return c, nil
		}
	}
}

// skipLine reads the rest of a line except its end.
func (s *Stream) skipLine() error {
	for {
		chunk, err := s.buffered()
		if err != nil {
			return err
		}
		if i := bytes.IndexByte(chunk, '\n'); i >= 0 {
			s.advance(chunk[:i])
			return nil
		}
		s.advance(chunk)
	}
}

// atMarker reports whether the next line begins with "---" or "..." and white space.
func (s *Stream) atMarker() bool {
	next, _ := s.r.Peek(4)
	if !bytes.HasPrefix(next, []byte("---")) && !bytes.HasPrefix(next, []byte("...")) {
		return false
	}
	return len(next) == 3 || bytes.IndexByte([]byte(" \t\r\n"), next[3]) >= 0
}

// readFlow reads a JSON value, or one in YAML's flow style, from its opening to its closing bracket.
func (s *Stream) readFlow() error {
	s.text = s.text[:0]
	depth, quoted, escaped := 0, false, false
	for {
		chunk, err := s.buffered()
		if errors.Is(err, io.EOF) {
			return nil // an incomplete value is not well-formed, as its decoding says
		}
		if err != nil {
			return err
		}
		for i, c := range chunk {
			switch {
			case escaped:
				escaped = false
			case quoted && c == '\\':
				escaped = true
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '{' || c == '[':
				depth++
			case c == '}' || c == ']':
				depth--
			}
			if depth == 0 {
				return s.take(chunk[:i+1], s.limit)
			}
		}
		if err := s.take(chunk, s.limit); err != nil {
			return err
		}
	}
}

// readBlock reads a YAML document up to the next marker.
func (s *Stream) readBlock() error {
	for lineStart := false; !lineStart || !s.atMarker(); {
		chunk, err := s.buffered()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		end := bytes.IndexByte(chunk, '\n') + 1
		if lineStart = end > 0; lineStart {
			chunk = chunk[:end]
		}
		if err := s.take(chunk, s.block); err != nil {
			return err
		}
	}
	return nil
}

// buffered returns what can be read without waiting, and waits only if that is nothing.
func (s *Stream) buffered() ([]byte, error) {
	if _, err := s.r.Peek(1); err != nil {
		return nil, err
	}
	return s.r.Peek(s.r.Buffered())
}

// take reads what is buffered into the document.
func (s *Stream) take(chunk []byte, limit int) error {
	if len(s.text)+len(chunk) > limit {
		return fmt.Errorf("larger than %d MiB", limit>>20)
	}
	s.text = append(s.text, chunk...)
	s.advance(chunk)
	return nil
}

// advance reads what is buffered.
func (s *Stream) advance(chunk []byte) {
	s.line += bytes.Count(chunk, []byte("\n"))
	if end := bytes.LastIndexByte(chunk, '\n'); end >= 0 {
		s.column = len(chunk) - end
	} else {
		s.column += len(chunk)
	}
	s.offset += int64(len(chunk))
	_, _ = s.r.Discard(len(chunk)) // it is buffered
}

// JSON returns the document as JSON, and its text if that is JSON already. An error says where in the stream the document is not
// well-formed. A duplicate name in YAML is an error.
func (d *Document) JSON() ([]byte, error) {
	if isJSON, err := d.checkJSON(); isJSON || err != nil {
		return d.Text, err
	}
	converted, err := yaml.YAMLToJSONStrict(d.Text)
	return converted, d.yamlError(err)
}

// checkJSON reports whether the document is JSON. It is an error if the document is meant as JSON and is not well-formed.
func (d *Document) checkJSON() (bool, error) {
	switch {
	case json.Valid(d.Text):
		return true, nil
	case meantAsJSON(d.Text):
		return false, d.syntaxError()
	}
	if len(d.Text) > MaxBlock {
		return false, fmt.Errorf("larger than %d MiB", MaxBlock>>20)
	}
	return false, nil
}

// meantAsJSON reports whether a text begins like a JSON object. In YAML's flow style that is well-formed too, but hardly anyone
// writes quoted names there, and a lenient reading would hide that JSON is broken.
func meantAsJSON(text []byte) bool {
	inner, object := bytes.CutPrefix(text, []byte("{"))
	return object && bytes.HasPrefix(bytes.TrimSpace(inner), []byte(`"`))
}

// syntaxError says what is wrong with a document that is meant as JSON, and where.
func (d *Document) syntaxError() error {
	var value json.RawMessage
	err := json.Unmarshal(d.Text, &value)
	if at := (*json.SyntaxError)(nil); errors.As(err, &at) {
		line, column := d.position(int(at.Offset) - 1)
		return &SyntaxError{Line: line, Column: column, Message: err.Error()}
	}
	return err
}

// position returns the line and the column in the stream of a byte of the document.
func (d *Document) position(offset int) (line, column int) {
	before := d.Text[:min(max(offset, 0), len(d.Text))]
	line = d.Line + bytes.Count(before, []byte("\n"))
	if end := bytes.LastIndexByte(before, '\n'); end >= 0 {
		return line, len(before) - end
	}
	return line, d.Column + len(before)
}

// SyntaxError is an error in the syntax of a document.
type SyntaxError struct {
	Line    int // in the stream, from 1; 0: unknown
	Column  int // in bytes, from 1; 0: unknown
	Message string
}

func (e *SyntaxError) Error() string {
	switch {
	case e.Line == 0:
		return e.Message
	case e.Column == 0:
		return fmt.Sprintf("line %d: %s", e.Line, e.Message)
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// yamlError turns an error of the YAML library, which counts lines from the beginning of the document, into a [SyntaxError].
func (d *Document) yamlError(err error) error {
	if err == nil {
		return nil
	}
	message := err.Error()
	for _, prefix := range []string{"error converting YAML to JSON: ", "yaml: ", "unmarshal errors:\n  "} {
		message = strings.TrimPrefix(message, prefix)
	}
	message, _, _ = strings.Cut(message, "\n")
	at := regexp.MustCompile(`^line ([0-9]+): `).FindStringSubmatch(message)
	if at == nil {
		return &SyntaxError{Line: d.Line, Message: message}
	}
	line, _ := strconv.Atoi(at[1]) // the expression allows digits only
	return &SyntaxError{Line: d.Line + line - 1, Message: message[len(at[0]):]}
}
