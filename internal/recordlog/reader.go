// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"

	"noderestriction.plus/internal/input"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/text"
)

const (
	// maxText is the maximum length of a line that can be a record, in bytes: twice what the webhook writes.
	maxText = 2 * record.MaxLine
	// maxRaw is how much of a line is read, in bytes. The rest of a longer line is skipped.
	maxRaw = 64 << 10
	// maxPending is the maximum number of streams with an incomplete line, maxSources that of names that are remembered.
	maxPending = 256
	maxSources = 4096
)

// Reader reads a log line by line, in bounded memory whatever the log holds. The log may be stored as package input says, and each of
// its lines may be wrapped in a JSON object by a log shipper.
type Reader struct {
	raw     *input.Reader // what was given
	lines   *bufio.Reader // its lines
	number  int64
	pending map[string]*partial // by stream
	sources map[string]string
	text    []byte // of a line that was joined
	ended   bool
	left    []*partial // at the end: what was never completed
	bare    bool       // the input has a record that is not wrapped
	wrapped bool       // the input has a record that is wrapped
	quoted  int
}

// partial is the beginning of a line that a container runtime wrote in several pieces.
type partial struct {
	number int64
	source string
	text   []byte
	whole  bool // text has all of it
}

// NewReader returns a reader of r. It reads the first bytes and fails if they cannot be read, or are not those of a text.
func NewReader(r io.Reader) (*Reader, error) {
	raw, err := input.NewReader(r)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewReaderSize(raw, maxRaw)
	return &Reader{raw: raw, lines: lines, pending: map[string]*partial{}, sources: map[string]string{}}, nil
}

// Quoted returns how many lines so far quote records in a way that is not read. Anyone who is quoted in a log can write such lines.
func (r *Reader) Quoted() int { return r.quoted }

// Idle reports whether reading the next line may block because nothing is buffered.
func (r *Reader) Idle() bool { return r.lines.Buffered() == 0 && r.raw.Buffered() == 0 }

// Next reads the next line that is not empty. At the end it returns io.EOF.
func (r *Reader) Next() (Line, error) {
	for !r.ended {
		line, ok, err := r.next()
		if err != nil || ok {
			return line, err
		}
	}
	if len(r.left) > 0 { // a runtime wrote the beginning of a line and not its end
		p := r.left[0]
		r.left = r.left[1:]
		return p.cut(), nil
	}
	return Line{}, io.EOF
}

// next reads one line of the input and reports whether it completes a line of the log.
func (r *Reader) next() (Line, bool, error) {
	raw, whole, err := r.readLine()
	if err != nil {
		defer r.end() // after the rest has been parsed
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF): // the compressed input is cut, and with it this line
		line := Line{Number: r.number, text: raw, Cut: true}
		line.reject(errors.New("the compressed input ends in the middle"))
		return line, true, nil
	case err != nil && !errors.Is(err, io.EOF):
		return Line{}, false, err
	case len(raw) == 0:
		return Line{}, false, nil
	}
	if r.number == 1 && whole {
		if err := refuseFormat(raw); err != nil {
			return Line{}, false, err
		}
	}
	line, complete := r.unpack(raw, whole)
	if err != nil && complete {
		line.markCut()
	}
	return line, complete, nil
}

// unpack takes off what a log shipper, a container runtime or kubectl put around a line. A shipper wraps all lines of an input or none:
// if one was not wrapped, a wrapped one is text that somebody quotes.
func (r *Reader) unpack(raw []byte, whole bool) (Line, bool) {
	if text, source, found := unwrap(raw); found && whole && !r.bare {
		r.wrapped = true
		line := Line{Number: r.number, Source: r.source([]byte(source))}
		line.parse(within(text, true))
		return line, true
	}
	line, complete := r.join(unframe(raw), whole)
	if complete {
		r.bare = r.bare || !r.wrapped && line.Kind != Foreign && line.Kind != Unparsable
		if line.Kind == Foreign && quotesRecord(raw) {
			r.quoted++
		}
	}
	return line, complete
}

// markCut marks a line without an end as cut if it cannot be parsed or is too short to decide.
func (l *Line) markCut() {
	if l.Kind == Foreign && beginsLike(l.text) {
		l.reject(errors.New("the beginning of a record"))
	}
	l.Cut = l.Kind == Unparsable
}

// join puts the pieces of a line together. It reports whether the line is complete.
func (r *Reader) join(f frame, whole bool) (Line, bool) {
	line := Line{Number: r.number, Source: r.source(f.source)}
	if f.stream == nil {
		line.parse(within(f.text, whole))
		return line, true
	}
	key := line.Source + " " + string(f.stream)
	p, begun := r.pending[key]
	if !begun && !f.partial {
		line.parse(within(f.text, whole))
		return line, true
	}
	if !begun {
		if len(r.pending) == maxPending {
			line.parse(within(f.text, false))
			return line, true
		}
		p = &partial{number: r.number, source: line.Source, whole: true}
		r.pending[key] = p
	}
	room := min(len(f.text), maxText-len(p.text))
	p.text = append(p.text, f.text[:room]...)
	p.whole = p.whole && whole && room == len(f.text)
	if f.partial {
		return Line{}, false
	}
	delete(r.pending, key)
	line.Number, r.text = p.number, p.text
	line.parse(r.text, p.whole)
	return line, true
}

// within bounds the text of a line to what a record can be.
func within(text []byte, whole bool) ([]byte, bool) {
	if len(text) > maxText {
		return text[:maxText], false
	}
	return text, whole
}

// cut returns the line that was begun and never completed.
func (p *partial) cut() Line {
	line := Line{Number: p.number, Source: p.source}
	line.parse(p.text, p.whole)
	if line.Kind != Foreign && line.Kind != Unparsable {
		line.reject(errors.New("the end of the line is missing"))
	}
	line.markCut()
	return line
}

// end remembers what was never completed, in the order of the input.
func (r *Reader) end() {
	r.ended = true
	for _, p := range r.pending {
		r.left = append(r.left, p)
	}
	slices.SortFunc(r.left, func(a, b *partial) int { return cmp.Compare(a.number, b.number) })
	r.pending = nil
}

// source returns the name as a string that lines share.
func (r *Reader) source(name []byte) string {
	if len(name) == 0 {
		return ""
	}
	if known, ok := r.sources[string(name)]; ok {
		return known
	}
	if len(r.sources) == maxSources {
		clear(r.sources)
	}
	source := text.Bound(string(name), 512)
	r.sources[string(name)] = source
	return source
}

// readLine reads a line without its end, and reports whether that is all of it. At the end of the input the error is
// io.EOF, with what follows the last line end.
func (r *Reader) readLine() (line []byte, whole bool, err error) {
	r.number++
	if err := r.skipZeros(); err != nil {
		return nil, true, err
	}
	line, err = r.lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return bytes.TrimRight(line, "\r\n"), true, err
	}
	line = bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.lines.ReadSlice('\n')
	}
	return line, false, err
}

// skipZeros skips the hole in a file that was truncated while its writer continued at its old offset.
func (r *Reader) skipZeros() error {
	for {
		if _, err := r.lines.Peek(1); err != nil {
			return err
		}
		chunk, _ := r.lines.Peek(r.lines.Buffered())
		zeros := len(chunk) - len(bytes.TrimLeft(chunk, "\x00"))
		_, _ = r.lines.Discard(zeros) // it is buffered
		if zeros < len(chunk) {
			return nil
		}
	}
}
