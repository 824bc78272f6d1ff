// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// maxDocument is the size of the largest document that is read, in bytes; the webhook's limit for a body is the same.
const maxDocument = 32 << 20

// documents reads the documents of a stream one by one: JSON values, concatenated or a line each, YAML documents
// between lines that begin with "---" or "...", or both mixed. It holds one document at a time and reads no further
// than its end, so that whoever writes the stream can wait for the answer before the next document.
type documents struct {
	r      *bufio.Reader
	limit  int    // of the size of a document, in bytes
	text   []byte // of the document that is being read
	line   int    // number of the line that is read next, from 1
	offset int64  // of what is read next, in bytes
	number int    // of the last document, from 1
}

// document is one document of a stream.
type document struct {
	json   []byte // valid until the next document is read
	number int    // among the documents of the stream, from 1
	line   int    // where it begins, from 1
	offset int64  // where it begins, in bytes
}

func (d document) String() string {
	return fmt.Sprintf("document %d (line %d, byte %d)", d.number, d.line, d.offset)
}

func newDocuments(r io.Reader) *documents {
	return &documents{r: bufio.NewReaderSize(r, 64<<10), limit: maxDocument, line: 1}
}

// next reads the next document; empty ones are passed over and not counted. At the end of the stream it returns
// io.EOF. Other errors name the document and where it begins; after one the stream cannot be read on.
func (d *documents) next() (document, error) {
	for {
		first, err := d.skip()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				err = fmt.Errorf("after document %d (line %d, byte %d): %w", d.number, d.line, d.offset, err)
			}
			return document{}, err
		}
		doc := document{number: d.number + 1, line: d.line, offset: d.offset}
		if first == '{' || first == '[' {
			err = d.readFlow()
		} else {
			err = d.readBlock()
		}
		if err == nil {
			doc.json, err = toJSON(d.text)
		}
		if err != nil {
			return document{}, fmt.Errorf("%s: %w", doc, err)
		}
		if string(bytes.TrimSpace(doc.json)) != "null" {
			d.number++
			return doc, nil
		}
	}
}

// skip passes over white space, comments and document markers and returns the byte with which the next document
// begins, not yet read. The indentation of its first line, which means something in YAML, is left in d.text.
func (d *documents) skip() (byte, error) {
	d.text = d.text[:0]
	for lineStart := true; ; {
		next, err := d.r.Peek(1)
		if err != nil {
			return 0, err
		}
		switch c := next[0]; {
		case c == '\n':
			d.text = d.text[:0]
			d.advance(next)
			lineStart = true
		case c == ' ' || c == '\t' || c == '\r':
			d.text = append(d.text, c)
			d.advance(next)
			lineStart = false
		case c == '#':
			if err := d.skipLine(); err != nil {
				return 0, err
			}
		case lineStart && d.atMarker():
			marker, _ := d.r.Peek(3)
			d.advance(marker)
			lineStart = false
		default:
			return c, nil
		}
	}
}

// skipLine reads the rest of a line but for its end.
func (d *documents) skipLine() error {
	for {
		chunk, err := d.buffered()
		if err != nil {
			return err
		}
		if i := bytes.IndexByte(chunk, '\n'); i >= 0 {
			d.advance(chunk[:i])
			return nil
		}
		d.advance(chunk)
	}
}

// atMarker reports whether the next line begins with "---" or "..." and white space.
func (d *documents) atMarker() bool {
	next, _ := d.r.Peek(4)
	if !bytes.HasPrefix(next, []byte("---")) && !bytes.HasPrefix(next, []byte("...")) {
		return false
	}
	return len(next) == 3 || bytes.IndexByte([]byte(" \t\r\n"), next[3]) >= 0
}

// readFlow reads a JSON value, or one in YAML's flow style, from its opening to its closing bracket.
func (d *documents) readFlow() error {
	d.text = d.text[:0]
	depth, quoted, escaped := 0, false, false
	for {
		chunk, err := d.buffered()
		if errors.Is(err, io.EOF) {
			return nil // what is incomplete is not well-formed, which toJSON says better
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
				return d.take(chunk[:i+1])
			}
		}
		if err := d.take(chunk); err != nil {
			return err
		}
	}
}

// readBlock reads a YAML document up to the next marker.
func (d *documents) readBlock() error {
	for lineStart := false; !lineStart || !d.atMarker(); {
		chunk, err := d.buffered()
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
		if err := d.take(chunk); err != nil {
			return err
		}
	}
	return nil
}

// buffered returns what can be read without waiting, and waits only if that is nothing.
func (d *documents) buffered() ([]byte, error) {
	if _, err := d.r.Peek(1); err != nil {
		return nil, err
	}
	return d.r.Peek(d.r.Buffered())
}

// take reads what is buffered into the document.
func (d *documents) take(chunk []byte) error {
	if len(d.text)+len(chunk) > d.limit {
		return fmt.Errorf("larger than %d MiB", d.limit>>20)
	}
	d.text = append(d.text, chunk...)
	d.advance(chunk)
	return nil
}

// advance reads what is buffered.
func (d *documents) advance(chunk []byte) {
	d.line += bytes.Count(chunk, []byte("\n"))
	d.offset += int64(len(chunk))
	_, _ = d.r.Discard(len(chunk)) // it is buffered
}

// toJSON returns the text of a document as JSON, and as it is if it is JSON already.
func toJSON(text []byte) ([]byte, error) {
	switch {
	case json.Valid(text):
		return text, nil
	case meantAsJSON(text):
		return nil, syntaxError(text)
	}
	return yaml.YAMLToJSONStrict(text)
}

// meantAsJSON reports whether a text begins like a JSON object. In YAML's flow style that is well-formed too, but
// nobody writes quoted names there, and a lenient reading would hide that JSON is broken.
func meantAsJSON(text []byte) bool {
	inner, object := bytes.CutPrefix(text, []byte("{"))
	return object && bytes.HasPrefix(bytes.TrimSpace(inner), []byte(`"`))
}

// syntaxError says what is wrong with the text of a JSON value, and where in it.
func syntaxError(text []byte) error {
	var value json.RawMessage
	err := json.Unmarshal(text, &value)
	if at := (*json.SyntaxError)(nil); errors.As(err, &at) {
		return fmt.Errorf("%w at byte %d of it", err, at.Offset)
	}
	return err
}
