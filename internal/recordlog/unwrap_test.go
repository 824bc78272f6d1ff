// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"noderestriction.plus/internal/recordlog"
)

func TestRecordsAsShippersKeepThem(t *testing.T) {
	quoted := func(seq int) string { return strconv.Quote(full(seq)) }
	withEnd := func(seq int) string { return strconv.Quote(full(seq) + "\n") }
	var bytesOf []string
	for _, b := range []byte(full(2)) {
		bytesOf = append(bytesOf, strconv.Itoa(int(b)))
	}
	for name, test := range map[string]struct{ one, two, source string }{
		"Docker's json-file": {
			`{"log":` + withEnd(1) + `,"stream":"stdout","time":"2026-11-24T08:00:01.000000000Z"}`,
			`{"log":` + withEnd(2) + `,"stream":"stdout","time":"2026-11-24T08:00:02.000000000Z"}`, "",
		},
		"Fluent Bit, the line as text": {
			`{"date":1.5,"log":` + quoted(1) + `,"kubernetes":{"pod_name":"web-0","container_name":"webhook"}}`,
			`{"date":1.6,"log":` + quoted(2) + `,"kubernetes":{"pod_name":"web-0","container_name":"webhook"}}`, "pod/web-0/webhook",
		},
		"Fluent Bit, the line as an object": {`{"date":1.5,"log":` + full(1) + `}`, `{"date":1.6,"log":` + full(2) + `}`, ""},
		"Vector":                            {`{"message":` + quoted(1) + `,"file":"/a"}`, `{"message":` + quoted(2) + `}`, ""},
		"the journal": {
			`{"__CURSOR":"s","MESSAGE":` + quoted(1) + `,"_PID":"1"}`, `{"MESSAGE":[` + strings.Join(bytesOf, ",") + `]}`, "",
		},
		"Loki's logcli": {
			`{"labels":{"pod":"a"},"line":` + quoted(1) + `,"timestamp":"2026-11-24T08:00:01Z"}`, `{"labels":{},"line":` + quoted(2) + `}`, "",
		},
		"stern -o json": {
			`{"message":` + quoted(1) + `,"podName":"web-0","containerName":"webhook"}`,
			`{"message":` + quoted(2) + `,"podName":"web-0","containerName":"webhook"}`, "pod/web-0/webhook",
		},
		"the container runtime": {
			"2026-11-24T08:00:01.1Z stdout F " + full(1), "2026-11-24T08:00:02.1Z stdout F " + full(2), "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			lines := readLines(t, strings.NewReader(test.one+"\n{\"log\":\"another line\"}\n"+test.two+"\n"))
			wantSequence(t, lines, 1, 2)
			if lines[0].Source != test.source {
				t.Errorf("source %q, want %q", lines[0].Source, test.source)
			}
		})
	}
}

// TestAQuotedRecordIsNotRead: in a log that no shipper wrapped, a line that looks wrapped is a line in which another program quotes what
// somebody sent it.
func TestAQuotedRecordIsNotRead(t *testing.T) {
	wrapped := `{"message":` + strconv.Quote(full(2)) + `}`
	wantSequence(t, readLines(t, strings.NewReader(full(1)+"\n"+wrapped+"\n"+full(3)+"\n")), 1, 3)
	reader, err := recordlog.NewReader(strings.NewReader(`{"text":` + strconv.Quote(full(1)) + "}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if line, err := reader.Next(); err != nil || line.Kind != recordlog.Foreign || reader.Quoted() != 1 {
		t.Errorf("got %v, %v, %d quoted lines, want a foreign line that quotes a record", line, err, reader.Quoted())
	}
}

func TestALogIsReadInEveryEncoding(t *testing.T) {
	text := full(1) + "\r\n" + full(2) + "\r\n"
	var wide []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	wantSequence(t, readLines(t, strings.NewReader("\ufeff"+text)), 1, 2)
	wantSequence(t, readLines(t, bytes.NewReader(wide)), 1, 2)
	wantSequence(t, readLines(t, bytes.NewReader(zipped(t, "\ufeff"+text))), 1, 2)
}

func TestAFormatThatIsNotReadIsNamed(t *testing.T) {
	for name, test := range map[string]struct{ log, want string }{
		"zstd":              {"\x28\xb5\x2f\xfd rest", "the input is in the format zstd, which is not read: decompress it first: zstd -dc FILE"},
		"zip":               {"PK\x03\x04 rest", "the input is in the format zip, which is not read: extract its files first"},
		"tar":               {"denials.log" + strings.Repeat("\x00", 246) + "ustar\x00", "the input is a tar archive, which is not read: extract its files first, such as tar -xOf FILE"},
		"a JSON array":      {"[" + full(1) + "," + full(2) + "]\n", "a JSON array: write each record on a line first, such as by jq -c '.[]'"},
		"an array in lines": {"[\n" + full(1) + ",\n" + full(2) + "\n]\n", "a JSON array: write each record on a line first, such as by jq -c '.[]'"},
		"indented JSON":     {"{\n  \"ts\": \"\"\n}\n", "JSON over several lines: write each record on a line first, such as by jq -c '.'"},
	} {
		t.Run(name, func(t *testing.T) {
			reader, err := recordlog.NewReader(strings.NewReader(test.log))
			if err == nil {
				_, err = reader.Next()
			}
			if fmt.Sprint(err) != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

// FuzzWrapped wraps a text as each shipper does: what is read must be what is read of the text alone.
func FuzzWrapped(f *testing.F) {
	f.Add(full(1))
	f.Add(compact(2))
	f.Add(`{"ts":"\u0000`)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 || strings.ContainsAny(text, "\r\n\x00") || strings.ToValidUTF8(text, "") != text {
			return
		}
		kinds := func(log string) (kinds []recordlog.Kind) {
			reader, err := recordlog.NewReader(strings.NewReader(log + "\n"))
			for err == nil {
				var line recordlog.Line
				if line, err = reader.Next(); err == nil && line.Kind != recordlog.Foreign {
					kinds = append(kinds, line.Kind)
				}
			}
			if !errors.Is(err, io.EOF) {
				return nil
			}
			return kinds
		}
		if !strings.HasPrefix(text, `{"ts":"`) || !strings.Contains(text, "denial") {
			return
		}
		quoted, err := quoteJSON(text)
		if err != nil {
			return
		}
		bare, wrapped := kinds(text), kinds(`{"log":`+quoted+`}`)
		if fmt.Sprint(bare) != fmt.Sprint(wrapped) {
			t.Errorf("bare %v, wrapped %v", bare, wrapped)
		}
	})
}

func quoteJSON(text string) (string, error) {
	quoted, err := json.Marshal(text)
	return string(quoted), err
}
