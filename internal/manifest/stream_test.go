// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// newStream returns a stream with a limit of 1 MiB.
func newStream(r io.Reader) (*Stream, error) {
	stream, err := NewStream(r)
	if err == nil {
		stream.limit, stream.block = 1<<20, 1<<20
	}
	return stream, err
}

// readAll returns the documents of a stream and where they begin.
func readAll(r io.Reader) ([]string, error) {
	var all []string
	docs, err := newStream(r)
	if err != nil {
		return nil, err
	}
	for {
		doc, err := docs.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		converted, err := doc.JSON()
		if err != nil {
			return all, err
		}
		all = append(all, fmt.Sprintf("%d:%d:%d %s", doc.Number, doc.Line, doc.Offset, converted))
	}
}

func TestStream(t *testing.T) {
	for name, test := range map[string]struct {
		stream string
		want   []string // number:line:offset and JSON
		err    string
	}{
		"an empty stream has no document": {
			stream: "",
		},
		"white space and markers are no documents": {
			stream: " \n\n---\n...\n--- # nothing\n# nothing\n\t\r\n---",
		},
		"an empty YAML document is passed over": {
			stream: "---\n# a\n---\na: 1\n---\nnull\n---\nb: 2",
			want:   []string{`1:4:12 {"a":1}`, `2:8:30 {"b":2}`},
		},
		"JSON values stand on lines of their own": {
			stream: "{\"a\":1}\n{\"b\":2}\n",
			want:   []string{`1:1:0 {"a":1}`, `2:2:8 {"b":2}`},
		},
		"JSON values follow each other directly": {
			stream: `{"a":1}{"b":2} {"c":3}`,
			want:   []string{`1:1:0 {"a":1}`, `2:1:7 {"b":2}`, `3:1:15 {"c":3}`},
		},
		"a JSON value spans lines": {
			stream: "{\n \"a\": [1,\n 2]}\n{}",
			want:   []string{"1:1:0 {\n \"a\": [1,\n 2]}", "2:4:17 {}"},
		},
		"brackets and quotes in strings do not count": {
			stream: `{"a":"}]\"{["}{"b":"\\"}`,
			want:   []string{`1:1:0 {"a":"}]\"{["}`, `2:1:14 {"b":"\\"}`},
		},
		"markers stand between JSON values": {
			stream: "---\n{\"a\":1}\n---\n{\"b\":2}\n",
			want:   []string{`1:2:4 {"a":1}`, `2:4:16 {"b":2}`},
		},
		"a document begins on the line of its marker": {
			stream: "--- {\"a\":1}\n--- b\n",
			want:   []string{`1:1:4 {"a":1}`, `2:2:16 "b"`},
		},
		"lines end in CR LF": {
			stream: "a: 1\r\n---\r\nb: 2\r\n",
			want:   []string{`1:1:0 {"a":1}`, `2:3:11 {"b":2}`},
		},
		"YAML in flow style looks like JSON": {
			stream: "{a: 1, b: [x,\n z]}\n---\n{c: 2}",
			want:   []string{`1:1:0 {"a":1,"b":["x","z"]}`, `2:4:23 {"c":2}`},
		},
		"YAML in block style follows JSON": {
			stream: "{\"a\":1}\n---\nb:\n  c: |\n    --- no\n    marker\n---\nd: 1",
			want:   []string{`1:1:0 {"a":1}`, `2:3:12 {"b":{"c":"--- no\nmarker\n"}}`, `3:8:48 {"d":1}`},
		},
		"the end of a YAML document is marked": {
			stream: "a: 1\n...\nb: 2",
			want:   []string{`1:1:0 {"a":1}`, `2:3:9 {"b":2}`},
		},
		"indented YAML keeps its indentation": {
			stream: "\n  a: 1\n  b: 2\n",
			want:   []string{`1:2:3 {"a":1,"b":2}`},
		},
		"four hyphens are no marker": {
			stream: "a: |\n x\n----: 1",
			want:   []string{`1:1:0 {"----":1,"a":"x\n"}`},
		},
		"a JSON value that is not closed is malformed": {
			stream: "{}\n{\"a\":",
			want:   []string{"1:1:0 {}"},
			err:    "line 2, column 5: unexpected end of JSON input",
		},
		"malformed JSON is reported as JSON": {
			stream: "{}\n{\"a\":}}\n{}",
			want:   []string{"1:1:0 {}"},
			err:    "line 2, column 6: invalid character '}' looking for beginning of value",
		},
		"malformed YAML is reported as YAML": {
			stream: "a: 1\n---\na: [\n",
			want:   []string{`1:1:0 {"a":1}`},
			err:    "line 3: did not find expected node content",
		},
		"a duplicate name in YAML is malformed": {
			stream: "a: 1\na: 2\n",
			err:    "line 2: key \"a\" already set in map",
		},
		"what follows JSON on a line is a document too": {
			stream: `{"a":1} x`,
			want:   []string{`1:1:0 {"a":1}`, `2:1:8 "x"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{
				strings.NewReader(test.stream), iotest.OneByteReader(strings.NewReader(test.stream)),
			} {
				got, err := readAll(r)
				if !slices.Equal(got, test.want) {
					t.Errorf("got  %q\nwant %q", got, test.want)
				}
				if message := fmt.Sprint(err); test.err != "" && message != test.err || test.err == "" && err != nil {
					t.Errorf("error %s\nwant  %s", message, test.err)
				}
			}
		})
	}
}

// TestStreamAsTheyCome writes one document at a time, reads it back before the next is written and never closes
// the stream in between, as a test harness does that waits for each answer.
func TestStreamAsTheyCome(t *testing.T) {
	r, w := io.Pipe()
	var docs *Stream
	for n := range 3 {
		written := make(chan error)
		go func() {
			_, err := w.Write([]byte(`{"n":1}`))
			written <- err
		}()
		if docs == nil { // the first bytes tell the encoding
			var err error
			if docs, err = newStream(r); err != nil {
				t.Fatal(err)
			}
		}
		doc, err := docs.Next()
		if err != nil || doc.Number != n+1 {
			t.Fatalf("document %d: %v, %v", n+1, doc, err)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
	}
}

func TestStreamReportsWhereReadingFailed(t *testing.T) {
	broken := errors.New("connection reset")
	_, err := readAll(io.MultiReader(strings.NewReader("{}\n"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || err.Error() != "after document 1 (line 2, byte 3): connection reset" {
		t.Errorf("got %v", err)
	}
	_, err = readAll(io.MultiReader(strings.NewReader("{}\n{"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || err.Error() != "document 2 (line 2, byte 3): connection reset" {
		t.Errorf("got %v", err)
	}
}

// endless never ends, so that only a bound ends the reading.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestStreamAreBounded(t *testing.T) {
	for name, start := range map[string]string{"JSON": `{"a":"`, "YAML": "a: x"} {
		t.Run(name, func(t *testing.T) {
			_, err := readAll(io.MultiReader(strings.NewReader("{}\n"+start), endless('x')))
			if want := "document 2 (line 2, byte 3): larger than 1 MiB"; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// TestStreamKeepJSON joins JSON values in any way and wants each back byte for byte.
func TestStreamKeepJSON(t *testing.T) {
	text := rapid.StringMatching(`[a-z{}\[\], ":#\-\n]*`)
	gap := rapid.SampledFrom([]string{"", " ", "\n", "\r\n", "\n---\n", "\n# x\n", "\n...\n---\n"})
	rapid.Check(t, func(t *rapid.T) {
		var stream bytes.Buffer
		var want []string
		for range rapid.IntRange(0, 5).Draw(t, "documents") {
			value := fmt.Sprintf(`{%q: [%q, {}, 1]}`, text.Draw(t, "name"), text.Draw(t, "value"))
			want = append(want, value)
			stream.WriteString(value)
			stream.WriteString(gap.Draw(t, "gap"))
		}
		docs, err := newStream(&stream)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			doc, err := docs.Next()
			if errors.Is(err, io.EOF) && i == len(want) {
				return
			}
			if err != nil || i == len(want) || string(doc.Text) != want[i] {
				t.Fatalf("document %d: %q, %v", i+1, doc.Text, err)
			}
		}
	})
}

// FuzzStream reads a stream in one piece and byte by byte and wants the same documents and the same error.
func FuzzStream(f *testing.F) {
	f.Add([]byte("{\"a\":1}{\"b\":[2]}\n---\nc: |\n  x\n...\n# d\n{e: }}\r\n--- f"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, err := readAll(bytes.NewReader(stream))
		single, singleErr := readAll(iotest.OneByteReader(bytes.NewReader(stream)))
		if !slices.Equal(whole, single) || fmt.Sprint(err) != fmt.Sprint(singleErr) {
			t.Errorf("in one piece: %q, %v\nbyte by byte: %q, %v", whole, err, single, singleErr)
		}
	})
}
