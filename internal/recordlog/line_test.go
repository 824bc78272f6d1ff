// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/policy"
)

// full is a record in full, as the program writes it, compact its short form.
func full(seq int) string {
	return fmt.Sprintf(`{"ts":"2026-11-24T08:00:%02d.000Z","level":"info","logger":"denial","msg":"denied","boot":"B1","seq":%d,`+
		`"uid":"u%d","node":"worker-1","user":"system:node:worker-1","operation":"UPDATE","resource":"nodes",`+
		`"subresource":"status","namespace":"","name":"worker-1","dryRun":false,"clientAuth":"mtls","violations":[`+
		`{"policy":"recommended","generation":3,"rule":"node-finalizers","field":"metadata.finalizers",`+
		`"reason":"node finalizers","detail":"must not add \"x\"","action":"Deny"}],"version":"v0.1.0",`+
		`"fingerprint":"f1"}`, seq%60, seq, seq)
}

func compact(seq int) string {
	return fmt.Sprintf(`{"ts":"2026-11-24T08:00:%02d.000Z","level":"info","logger":"denial","msg":"denied","boot":"B1",`+
		`"seq":%d,"uid":"u%d","node":"worker-1","fingerprint":"f1"}`, seq%60, seq, seq)
}

func lost(count, first, last int) string {
	return fmt.Sprintf(`{"ts":"2026-11-24T08:01:00.000Z","level":"error","logger":"denial","msg":"lost","boot":"B1",`+
		`"count":%d,"firstSeq":%d,"lastSeq":%d}`, count, first, last)
}

// readLines reads a whole log.
func readLines(t testing.TB, r io.Reader) []recordlog.Line {
	t.Helper()
	reader, err := recordlog.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	var lines []recordlog.Line
	for {
		line, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
}

func TestLines(t *testing.T) {
	const (
		time  = "2026-11-24T08:00:00.123456789Z "
		pod   = "[pod/nrp-0/main] "
		other = `{"level":"info","ts":"2026-11-24T08:00:00.000Z","logger":"status","msg":"x"}`
	)
	for name, test := range map[string]struct {
		line string
		want recordlog.Kind
		err  string // part of it
	}{
		"a record in full":          {full(1), recordlog.Full, ""},
		"a compact record":          {compact(1), recordlog.Compact, ""},
		"a line about lost records": {lost(2, 3, 4), recordlog.Lost, ""},
		"a record of the enforcement probe": {
			strings.Replace(full(1), "denied", "probed", 1), recordlog.Full, "",
		},
		"a record with a key of a later version": {
			strings.Replace(full(1), `"seq"`, `"new":[1],"seq"`, 1), recordlog.Full, "",
		},
		"a record with the line end of another system": {full(1) + "\r", recordlog.Full, ""},
		"a record that kubectl put its pod before":     {pod + full(1), recordlog.Full, ""},
		"a record that kubectl put the time before":    {time + full(1), recordlog.Full, ""},
		"a record that kubectl put both before":        {pod + time + full(1), recordlog.Full, ""},
		"a record in a container runtime's file":       {time + "stdout F " + full(1), recordlog.Full, ""},
		"a record with a time in another zone before": {
			"2026-11-24T08:00:00.1+01:00 stdout F " + full(1), recordlog.Full, "",
		},
		"a record after the hole that a truncation left": {"\x00\x00\x00" + full(1), recordlog.Full, ""},

		"another line of the program": {other, recordlog.Foreign, ""},
		"another line that quotes a record": {
			fmt.Sprintf(`{"level":"error","msg":%q}`, full(1)), recordlog.Foreign, "",
		},
		"a JSON line of another program": {
			`{"ts":"yesterday","logger":"x","n":1,"n":2}`, recordlog.Foreign, "",
		},
		"a JSON line with the name of the logger": {`{"x":{"logger":"denial"}}`, recordlog.Foreign, ""},
		"text": {"goroutine 1 [running]:", recordlog.Foreign, ""},
		"text with a record in quotes": {
			fmt.Sprintf("E1124 08:00:00 err=%q", full(1)), recordlog.Foreign, "",
		},
		"a line that is too long and no record":         {strings.Repeat("x", 1<<20), recordlog.Foreign, ""},
		"a record that somebody wrote some text before": {"x " + full(1), recordlog.Unparsable, "a piece of a record"},

		"a record without its end":        {full(1)[:300], recordlog.Unparsable, "it ends too early"},
		"a record without its beginning":  {full(1)[300:], recordlog.Unparsable, "a piece of a record"},
		"a record that begins in another": {full(1)[:200] + full(2), recordlog.Unparsable, ""},
		"a record with a key twice": {
			strings.Replace(full(1), `"seq":1`, `"seq":1,"seq":2`, 1), recordlog.Unparsable, "it has a key twice",
		},
		"a record with invalid UTF-8": {
			strings.Replace(full(1), "worker", "\xff", 1), recordlog.Unparsable, "not well-formed JSON at byte 1",
		},
		"a record without a boot": {
			strings.Replace(full(1), `"B1"`, `""`, 1), recordlog.Unparsable, "boot: missing",
		},
		"a record without a time": {
			strings.Replace(full(1), `"ts"`, `"t"`, 1), recordlog.Unparsable, "ts: missing",
		},
		"a record with another time": {strings.Replace(full(1), ".000Z", "", 1), recordlog.Unparsable, "ts: has a wrong value"},
		"a record without a number": {
			strings.Replace(full(1), `"seq":1`, `"seq":0`, 1), recordlog.Unparsable, "seq: must be 1 to",
		},
		"a number that is too large": {
			strings.Replace(full(1), `"seq":1`, `"seq":18446744073709551615`, 1), recordlog.Unparsable, "seq: must be 1 to",
		},
		"a record with nothing in it": {
			`{"ts":"2026-11-24T08:00:00.000Z","logger":"denial","msg":"denied","boot":"B1","seq":1}`,
			recordlog.Unparsable, "violations: missing",
		},
		"an outcome that is not known": {
			strings.Replace(full(1), "denied", "eaten\u2028", 1), recordlog.Unparsable, `msg: unknown "eaten\u2028"`,
		},
		"more records lost than there is room for": {lost(3, 3, 4), recordlog.Unparsable, "count: must be"},
		"lost records in the wrong order":          {lost(1, 4, 3), recordlog.Unparsable, "firstSeq, lastSeq: must be"},
		"a record that is too long": {
			strings.Replace(full(1), `"u1"`, `"`+strings.Repeat("u", 9000)+`"`, 1), recordlog.Unparsable, "longer than 8192 bytes",
		},
		"a record that is much too long": {
			strings.Replace(full(1), `"u1"`, `"`+strings.Repeat("u", 1<<20)+`"`, 1), recordlog.Unparsable, "longer than 8192 bytes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			lines := readLines(t, strings.NewReader("\n"+test.line+"\n"+full(2)+"\n"))
			if len(lines) != 2 || lines[1].Kind != recordlog.Full || lines[1].Record.Seq != 2 || lines[1].Number != 3 {
				t.Fatalf("the next line was not read: %+v", lines)
			}
			got := lines[0]
			if got.Kind != test.want || got.Number != 2 || got.Cut {
				t.Errorf("got kind %d of line %d, cut %v, error %v; want kind %d", got.Kind, got.Number, got.Cut, got.Err, test.want)
			}
			if (got.Err != nil) != (test.want == recordlog.Unparsable) {
				t.Fatalf("got error %v", got.Err)
			}
			if got.Err != nil && (!strings.Contains(got.Err.Error(), test.err) || len(got.Err.Error()) > 300) {
				t.Errorf("got error %q, want %q", got.Err, test.err)
			}
		})
	}
}

func TestALineHasWhatTheRecordHas(t *testing.T) {
	line := readLines(t, strings.NewReader("[pod/nrp-0/main] "+full(7)+"\n"))[0]
	r := line.Record
	if line.Source != "pod/nrp-0/main" || r.Boot != "B1" || r.Seq != 7 || r.Node != "worker-1" || r.Subresource != "status" ||
		len(r.Violations) != 1 || r.Violations[0].Detail != `must not add "x"` || r.Violations[0].Generation != 3 {
		t.Errorf("got %+v", line)
	}
}

func TestForgedTextIsMadePrintable(t *testing.T) {
	line := readLines(t, strings.NewReader(strings.NewReplacer(
		"v0.1.0", `\u001b[31m`, "metadata.finalizers", "a\u2028b\u202ec", "B1", `\u009b`).Replace(full(1))))[0]
	if line.Record.Version != `\x1b[31m` || line.Record.Violations[0].Field != `a\u2028b\u202ec` || line.Record.Boot != `\u009b` {
		t.Errorf("got %+v", line.Record)
	}
}

// TestNodeAgentsAreRead checks that each form of a record says which node agent wrote.
func TestNodeAgentsAreRead(t *testing.T) {
	for _, subject := range []policy.Subject{
		{Kind: policy.ServiceAccount, Account: "kube-system/cni"}, {Kind: policy.UsernamePrefix, Account: "system:ovn-node:worker-1"}, {},
	} {
		rec := record.New(record.Origin{UID: "u", User: "user", Version: "v0.1.0"}, &policy.Request{
			Subject: subject, NodeName: "worker-1", Write: policy.Write{Operation: "UPDATE", Resource: "nodes", Name: "worker-1"},
		}, policy.Decision{Violations: []policy.PolicyViolation{{Policy: "p", Rule: "node-self", Action: "Deny"}}})
		rec.Time, rec.Boot = record.Time(time.Unix(1_800_000_000, 0)), "B1"
		var lines []string
		for i, form := range []func() any{
			func() any { return rec.Brief() }, func() any { return rec }, func() any { return rec.Brief() }, func() any { return rec.Compact() },
		} {
			rec.Seq = uint64(i) + 1
			line, err := json.Marshal(form())
			if err != nil {
				t.Fatal(err)
			}
			if subject.IsKubelet() && strings.Contains(string(line), "ccount") {
				t.Errorf("the line of a kubelet is %s", line)
			}
			lines = append(lines, string(line))
		}
		_, entries := readLog(t, lines...)
		if len(entries) != len(lines) {
			t.Fatalf("%d entries", len(entries))
		}
		for i := range entries {
			if e := &entries[i]; e.Subject != subject.Kind || e.Account != subject.Account {
				t.Errorf("%s: got %q, %q", lines[i], e.Subject, e.Account)
			}
		}
	}
}

// TestLongNamesOfNodeAgentsKeepTheirKind reads records in which the user name of an agent is cut before its colon.
func TestLongNamesOfNodeAgentsKeepTheirKind(t *testing.T) {
	rec := record.New(record.Origin{UID: "u", User: "user", Version: "v0.1.0"}, &policy.Request{
		Subject: policy.Subject{Kind: policy.UsernamePrefix, Account: strings.Repeat("a", 100) + ":worker-1"}, NodeName: "worker-1",
		Write: policy.Write{Operation: "UPDATE", Resource: "nodes", Name: "worker-1"},
	}, policy.Decision{Violations: []policy.PolicyViolation{{Policy: "p", Rule: "node-self", Action: "Deny"}}})
	rec.Time, rec.Boot, rec.Seq = record.Time(time.Unix(1_800_000_000, 0)), "B1", 1
	line, err := json.Marshal(rec.Brief())
	if err != nil {
		t.Fatal(err)
	}
	_, entries := readLog(t, string(line))
	if len(entries) != 1 || entries[0].Subject != policy.UsernamePrefix || strings.Contains(entries[0].Account, ":") {
		t.Errorf("%s: got %+v", line, entries)
	}
}
