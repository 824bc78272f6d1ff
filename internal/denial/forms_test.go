// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/policy"
)

func TestCountsCountWithinAMinute(t *testing.T) {
	c := newCounts()
	now := time.Now()
	for want := range 3 {
		if got := c.get("a", now); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
		c.add("a", now)
	}
	for name, test := range map[string]struct {
		key  string
		at   time.Time
		want int
	}{
		"another key":       {"b", now, 0},
		"within the minute": {"a", now.Add(window - 1), 3},
		"a minute later":    {"a", now.Add(window), 0},
	} {
		if got := c.get(test.key, test.at); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
}

func TestCountsForgetOnlyWhatIsOld(t *testing.T) {
	c := newCounts()
	now := time.Now()
	c.add("old", now)
	c.add("busy", now)
	for i := range 10 * maxGeneration {
		c.add(fmt.Sprint(i), now)
		if i%1000 == 0 {
			c.add("busy", now)
		}
	}
	if n := len(c.current) + len(c.previous); n > 2*maxGeneration {
		t.Errorf("remembers %d keys, want at most %d", n, 2*maxGeneration)
	}
	if got := c.get("busy", now); got != 51 {
		t.Errorf("a key that persists: got %d, want 51", got)
	}
	if got := c.get("old", now); got != 0 {
		t.Errorf("a key that ended: got %d, want 0", got)
	}
}

// varied is a denial that differs from others in node, dry run, subresource and which of nine rules it violates.
func varied(i int, node string) record.Record {
	d := policy.Decision{NodeName: node}
	for rule := range 9 {
		if i>>rule&1 == 1 {
			d.Violations = append(d.Violations, policy.PolicyViolation{
				Policy: "recommended", Rule: policy.RuleID(fmt.Sprintf("node-rule-number-%d", rule)), Action: v1alpha1.Deny,
				Violation: policy.Violation{Field: "metadata.labels", Detail: strings.Repeat("d", 200)},
			})
		}
	}
	return record.New(record.Origin{
		UID: fmt.Sprintf("705ab4f5-6393-11e8-b7cc-%012d", i), User: "system:node:" + node, Version: "v0.1.0",
		ClientAuth: record.ClientAuthNone,
	}, &policy.Request{
		NodeName: node, Write: policy.Write{
			Operation: "UPDATE", Resource: "nodes", Subresource: []string{"", "status"}[i%2], Name: node,
			DryRun: i%3 == 0,
		},
	}, d)
}

// readBack reads a log as the command denials does.
func readBack(t *testing.T, log string) (entries []recordlog.Entry, complete bool) {
	t.Helper()
	reader, err := recordlog.NewReader(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	all := recordlog.NewLog()
	for {
		line, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries, all.Verify(recordlog.Allowances{}).Complete
		}
		if err != nil {
			t.Fatal(err)
		}
		if e := all.Add("log", &line); e != nil {
			entries = append(entries, *e)
		}
	}
}

func TestAFloodIsShortenedWhateverVaries(t *testing.T) {
	for name, node := range map[string]func(i int) string{
		"of one node":                 func(int) string { return "worker-1" },
		"of many nodes":               func(i int) string { return fmt.Sprint("worker-", i) },
		"of nodes that nobody has":    func(i int) string { return strings.Repeat("<", 250) + fmt.Sprint(i) },
		"of names that end otherwise": func(i int) string { return fmt.Sprint(i) + strings.Repeat("\x00", 200) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out sink
				l := New(&out)
				var want []record.Record
				for i := 1; i <= 500; i++ {
					rec := varied(i, node(i))
					l.Record(rec)
					want = append(want, rec)
				}
				l.Record(denied("a-quiet-node"))
				closeLedger(t, l)
				if n := len(out.String()); n > 300_000 {
					t.Errorf("500 denials take %d bytes", n)
				}
				entries, complete := readBack(t, out.String())
				if len(entries) != 501 || !complete {
					t.Fatalf("got %d records, complete: %v", len(entries), complete)
				}
				for i, rec := range want {
					checkTold(t, &entries[i], &rec)
				}
				quiet := entries[500]
				if quiet.Compact || quiet.Node != "a-quiet-node" || quiet.Name != "a-quiet-node" ||
					len(quiet.Violations) != 1 || quiet.Violations[0].Rule != "node-finalizers" {
					t.Errorf("the quiet node's record says %+v", quiet)
				}
			})
		})
	}
}

// checkTold checks that a record says what matters of a denial, whatever form it has.
func checkTold(t *testing.T, e *recordlog.Entry, rec *record.Record) {
	t.Helper()
	begins := func(got, want string) bool {
		return got == want || strings.HasPrefix(want, strings.TrimSuffix(got, "...")) && strings.HasSuffix(got, "...")
	}
	if e.UID != rec.UID || e.Operation != rec.Operation || e.DryRun != rec.DryRun || e.Subresource != rec.Subresource ||
		e.Resource != rec.Resource || !begins(e.Node, rec.Node) || !begins(e.Name, rec.Name) {
		t.Errorf("got %+v, want %+v", e, rec)
	}
	if len(e.Violations)+e.OmittedViolations != len(rec.Violations)+rec.OmittedViolations {
		t.Errorf("got %d violations and %d omitted, want %d", len(e.Violations), e.OmittedViolations, len(rec.Violations))
	}
	for i, v := range e.Violations {
		if v.Policy != rec.Violations[i].Policy || v.Rule != rec.Violations[i].Rule {
			t.Errorf("got %+v, want %+v", v, rec.Violations[i])
		}
	}
}

// failingOut fails at first.
type failingOut struct {
	sink
	failures int
}

func (o *failingOut) Write(p []byte) (int, error) {
	if o.failures--; o.failures >= 0 {
		return 0, errors.New("the disk is full")
	}
	return o.sink.Write(p)
}

func TestACompactLineHasOneBeforeItThatExplainsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &failingOut{failures: 20}
		l := New(out)
		for range 50 {
			l.Record(denied("worker-1"))
		}
		time.Sleep(2 * retryInterval)
		closeLedger(t, l)
		entries, _ := readBack(t, out.String())
		for _, e := range entries {
			if e.Compact && e.Like == 0 {
				t.Fatalf("seq %d is compact, and nothing explains it", e.Seq)
			}
		}
		if !entries[len(entries)-1].Compact {
			t.Error("the last one is not compact")
		}
	})
}
