// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// denied is the record of a denial by one policy.
func denied(node string) record.Record {
	return record.New(
		record.Origin{
			UID: "705ab4f5-6393-11e8-b7cc-42010a800002", User: "system:node:" + node,
			ClientAuth: record.ClientAuthMTLS, Version: "v0.1.0",
		},
		&policy.Request{
			NodeName: node, Write: policy.Write{Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: node},
		},
		policy.Decision{NodeName: node, Violations: []policy.PolicyViolation{{
			Policy: "recommended", Generation: 3, Rule: "node-finalizers", Action: v1alpha1.Deny,
			Violation: policy.Violation{Field: "metadata.finalizers", Detail: `must not add "x"`},
		}}})
}

// parsed is what tests look at in a line.
type parsed struct {
	Msg, Boot, UID, Node, Fingerprint string
	Seq                               uint64
	Count, FirstSeq, LastSeq          uint64
	Violations                        []record.Violation
}

func parse(t testing.TB, log string) []parsed {
	t.Helper()
	var lines []parsed
	for text := range strings.Lines(log) {
		if !strings.HasSuffix(text, "\n") {
			t.Fatalf("half a line: %q", text)
		}
		var p parsed
		if err := json.Unmarshal([]byte(text), &p, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		lines = append(lines, p)
	}
	return lines
}

func closeLedger(t testing.TB, l *Recorder) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// sink is a log whose reader can stop reading and whose disk can be full.
type sink struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	err  error
	room int           // bytes that fit before err
	gate chan struct{} // nil: writes pass; otherwise they wait for it to be closed
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		n := min(s.room, len(p))
		s.room -= n
		s.buf.Write(p[:n])
		return n, s.err
	}
	return s.buf.Write(p)
}

func (s *sink) set(change func(*sink)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func TestALineHasTheKeysInTheirOrder(t *testing.T) {
	var out sink
	l := New(&out)
	rec := denied("worker-1")
	seq, written := l.Record(rec)
	closeLedger(t, l)
	if seq != 1 || !written {
		t.Fatalf("got seq %d, written %v", seq, written)
	}
	line := out.String()
	var got record.Record
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	if got.Boot != l.Boot() || time.Since(time.Time(got.Time)) > time.Minute {
		t.Errorf("got boot %q, time %v", got.Boot, time.Time(got.Time))
	}
	rec.Time, rec.Boot, rec.Seq = got.Time, got.Boot, 1
	want, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	if line != string(want)+"\n" {
		t.Errorf("got  %swant %s", line, want)
	}
}

func TestALineSaysWhatWasTruncated(t *testing.T) {
	var out sink
	l := New(&out)
	rec := denied(strings.Repeat("\u2028", 300))
	rec.OmittedViolations = 7
	l.Record(rec)
	closeLedger(t, l)
	if line := out.String(); !strings.HasSuffix(line, `,"truncated":true,"omittedViolations":7}`+"\n") {
		t.Errorf("got %s", line)
	}
}

func TestEqualRecordsBecomeCompact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sink
		l := New(&out)
		for range 25 {
			l.Record(denied("worker-1"))
		}
		l.Record(denied("worker-2"))
		time.Sleep(time.Minute)
		l.Record(denied("worker-1"))
		closeLedger(t, l)
		lines := parse(t, out.String())
		if len(lines) != 27 {
			t.Fatalf("got %d lines, want one each", len(lines))
		}
		for i, line := range lines {
			compact := i >= 10 && i < 25
			if (line.Violations == nil) != compact {
				t.Errorf("line %d: got %d violations, want compact %v", i, len(line.Violations), compact)
			}
			if line.Seq != uint64(i+1) || line.Msg != "denied" || line.Boot != l.Boot() ||
				line.UID == "" || line.Node == "" || line.Fingerprint == "" {
				t.Errorf("line %d: got %+v", i, line)
			}
			if i < 25 && line.Fingerprint != lines[0].Fingerprint {
				t.Errorf("line %d: has another fingerprint", i)
			}
		}
		for text := range strings.Lines(out.String()) {
			if !strings.Contains(text, `"violations"`) && len(text) > record.MaxCompactLine {
				t.Errorf("a compact line of %d bytes", len(text))
			}
		}
	})
}

func TestSeqHasNoGapUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in fake time no machine is too slow to write a record in time
		var out sink
		l := New(&out)
		const clients, each = 16, 200
		var wg sync.WaitGroup
		for client := range clients {
			wg.Go(func() {
				for i := range each {
					l.Record(denied(fmt.Sprintf("worker-%d-%d", client, i)))
				}
			})
		}
		wg.Wait()
		closeLedger(t, l)
		lines := parse(t, out.String())
		for i, line := range lines {
			if line.Seq != uint64(i+1) {
				t.Fatalf("line %d has seq %d", i, line.Seq)
			}
		}
		if len(lines) != clients*each {
			t.Errorf("got %d lines, want %d", len(lines), clients*each)
		}
	})
}

func TestABlockedLogLosesRecordsInTimeAndRecoversByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{gate: make(chan struct{})}
		l := New(out)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				start := time.Now()
				if _, written := l.Record(denied("worker-1")); written || time.Since(start) != ackTimeout {
					t.Errorf("got written %v after %v", written, time.Since(start))
				}
			})
		}
		wg.Wait()
		if err := l.Healthy(); !errors.Is(err, errSlow) || !strings.Contains(err.Error(), " 0 records lost") {
			t.Errorf("while the answers have gone but the records wait: got %v", err)
		}
		time.Sleep(patience)
		if err := l.Healthy(); !errors.Is(err, errSlow) || !strings.Contains(err.Error(), " 19 records lost") {
			t.Errorf("after the patience: got %v", err)
		}
		close(out.gate)
		time.Sleep(retryInterval)
		synctest.Wait()
		if err := l.Healthy(); err != nil {
			t.Errorf("after the reader came back: %v", err)
		}
		closeLedger(t, l)
		lines := parse(t, out.String())
		if len(lines) != 2 || lines[0].Msg != "denied" || lines[1].Msg != "lost" || lines[1].Count != 19 ||
			lines[1].FirstSeq != 2 || lines[1].LastSeq != 20 || lines[1].Boot != l.Boot() {
			t.Errorf("got %s", out)
		}
	})
}

func TestARecordThatIsALittleLateIsWrittenAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{gate: make(chan struct{})}
		l := New(out)
		for range 5 {
			if _, written := l.Record(denied("worker-1")); written {
				t.Error("got written while the log is blocked")
			}
		}
		close(out.gate)
		synctest.Wait()
		if err := l.Healthy(); err != nil {
			t.Errorf("got %v", err)
		}
		closeLedger(t, l)
		for i, line := range parse(t, out.String()) {
			if line.Seq != uint64(i+1) || line.Msg != "denied" {
				t.Errorf("line %d: got %+v", i, line)
			}
		}
		if written, lost, _ := l.log.state(); written != 5 || lost != 0 {
			t.Errorf("got %d written, %d lost", written, lost)
		}
	})
}

func TestABlockedLogDoesNotFillMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{gate: make(chan struct{})}
		l := New(out)
		var wg sync.WaitGroup
		for i := range maxWaiting + 100 {
			wg.Go(func() { l.Record(denied(fmt.Sprint(i))) })
		}
		wg.Wait()
		if err := l.Healthy(); !errors.Is(err, errFull) || !strings.Contains(err.Error(), " 99 records lost") {
			t.Errorf("got %v", err)
		}
		time.Sleep(patience)
		close(out.gate)
		closeLedger(t, l)
		var records, missing uint64
		for _, line := range parse(t, out.String()) {
			if line.Msg == "lost" {
				missing += line.Count
			} else {
				records++
			}
		}
		if records != 1 || missing != maxWaiting+99 {
			t.Errorf("got %d records, and lines about %d lost ones", records, missing)
		}
	})
}

func TestAFullDiskLosesRecordsAndKeepsLinesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		out := &sink{}
		l := New(out)
		l.Record(denied("worker-1"))
		out.set(func(s *sink) { s.err, s.room = full, 100 })
		for range 3 {
			if _, written := l.Record(denied("worker-1")); written {
				t.Error("got written")
			}
		}
		if err := l.Healthy(); !errors.Is(err, full) || !strings.Contains(err.Error(), "3 records lost") {
			t.Errorf("got %v", err)
		}
		time.Sleep(5 * retryInterval)
		if err := l.Healthy(); !errors.Is(err, full) {
			t.Errorf("got %v while the disk is full", err)
		}
		out.set(func(s *sink) { s.err = nil })
		time.Sleep(2 * retryInterval)
		if err := l.Healthy(); err != nil {
			t.Errorf("after there was room again: %v", err)
		}
		if _, written := l.Record(denied("worker-1")); !written {
			t.Error("got lost after there was room again")
		}
		closeLedger(t, l)
		var whole []string
		for text := range strings.Lines(out.String()) {
			if strings.HasSuffix(text, "}\n") {
				whole = append(whole, text)
			}
		}
		lines := parse(t, strings.Join(whole, ""))
		if len(lines) != 3 || lines[0].Seq != 1 || lines[2].Seq != 5 ||
			lines[1].Msg != "lost" || lines[1].Count != 3 || lines[1].FirstSeq != 2 || lines[1].LastSeq != 4 {
			t.Errorf("got %s", out)
		}
	})
}

func TestAPipeWithoutAReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	l := New(w)
	if _, written := l.Record(denied("worker-1")); !written {
		t.Error("got lost while there is a reader")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if seq, written := l.Record(denied("worker-1")); written || seq != 2 || time.Since(start) > time.Second {
		t.Errorf("got seq %d, written %v after %v", seq, written, time.Since(start))
	}
	if err := l.Healthy(); !errors.Is(err, os.ErrClosed) && !strings.Contains(fmt.Sprint(err), "broken pipe") {
		t.Errorf("got %v", err)
	}
	if err := l.Close(t.Context()); err == nil {
		t.Error("closing does not say that records are missing")
	}
}

func TestADiskThatIsFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	l := New(full)
	if _, written := l.Record(denied("worker-1")); written {
		t.Error("got written")
	}
	if err := l.Healthy(); err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("got %v", err)
	}
	if err := l.Close(t.Context()); err == nil {
		t.Error("closing does not say that records are missing")
	}
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{gate: make(chan struct{})}
		l := New(out)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, written := l.Record(denied("worker-1")); !written {
					t.Error("a record was lost")
				}
			})
		}
		synctest.Wait()
		wg.Go(func() { closeLedger(t, l) })
		time.Sleep(ackTimeout / 2)
		close(out.gate)
		wg.Wait()
		if n := len(parse(t, out.String())); n != 5 {
			t.Errorf("got %d lines, want 5", n)
		}
		if seq, written := l.Record(denied("worker-1")); seq != 6 || written {
			t.Errorf("after closing: got seq %d, written %v", seq, written)
		}
		if err := l.Healthy(); !errors.Is(err, errClosed) {
			t.Errorf("after closing: got %v", err)
		}
	})
}

func TestCloseDoesNotWaitForABlockedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{gate: make(chan struct{})}
		l := New(out)
		l.Record(denied("worker-1"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Close(ctx); err == nil || !strings.Contains(err.Error(), "not flushed") {
			t.Errorf("got %v", err)
		}
		close(out.gate)
		closeLedger(t, l)
	})
}
