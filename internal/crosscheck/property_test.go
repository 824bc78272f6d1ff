// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package crosscheck_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestExactlyWhatWasRemovedIsMissing makes the logs of several processes, removes records and events, and expects exactly these.
func TestExactlyWhatWasRemovedIsMissing(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var all []string
		audits := make([][]string, 1+random.IntN(3)) // one for each API server
		for i := range audits {
			audits[i] = []string{heartbeat(-10), heartbeat(1000)}
		}
		wantRecords, wantEvents, both := map[string]bool{}, map[string]bool{}, uint64(0)
		for b := range 1 + random.IntN(4) {
			// Of each process the first and the last record stay, and there is one of each kind of write in the audit log.
			minute, n := random.Float64()*3, 3+random.IntN(60)
			for seq := 1; seq <= n; seq++ {
				w := denied(fmt.Sprint("B", b), seq, minute)
				w.node = fmt.Sprint("worker-", random.IntN(3))
				w.dryRun = random.IntN(5) == 0
				w.outcome = []string{"denied", "audited", "warned"}[random.IntN(3)]
				minute += random.Float64() * 5
				record, event := true, true
				if seq > 1 && seq < n {
					record, event = random.IntN(10) > 0, random.IntN(10) > 0
				}
				id := fmt.Sprint(w.boot, " ", w.seq)
				if record {
					all = append(all, []string{w.record(), w.brief()}[random.IntN(2)])
				} else if event {
					wantRecords[id] = true
				}
				if event {
					i := random.IntN(len(audits))
					audits[i] = append(audits[i], w.event())
				} else if record {
					wantEvents[id] = true
				}
				if record && event {
					both++
				}
			}
		}
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, lines := range audits {
			random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		}
		got := reads{records: all, audits: audits}.report(t)
		gotRecords, gotEvents := map[string]bool{}, map[string]bool{}
		for _, m := range got.MissingRecords {
			gotRecords[fmt.Sprint(m.Boot, " ", m.Seq)] = true
		}
		for _, m := range got.MissingEvents {
			gotEvents[fmt.Sprint(m.Boot, " ", m.Seq)] = true
		}
		if !maps.Equal(gotRecords, wantRecords) || !maps.Equal(gotEvents, wantEvents) {
			t.Fatalf("seed %d:\nno record: got %v, want %v\nno event: got %v, want %v", seed, slices.Sorted(maps.Keys(gotRecords)),
				slices.Sorted(maps.Keys(wantRecords)), slices.Sorted(maps.Keys(gotEvents)), slices.Sorted(maps.Keys(wantEvents)))
		}
		if got.Both != both || got.Conflicts != 0 || got.NotCompared() != 0 || got.Unclear() != 0 ||
			got.WithoutRecord != uint64(len(wantRecords)) || got.WithoutEvent != uint64(len(wantEvents)) {
			t.Fatalf("seed %d: want %d in both, got %+v", seed, both, got.Totals)
		}
	}
}

func TestVeryManyMissingAreCountedAndSomeNamed(t *testing.T) {
	all, audit := records(denied("A", 1, 0), denied("A", 4001, 30)), events(denied("A", 1, 0))
	for seq := 2; seq <= 2000; seq++ {
		audit = append(audit, denied("A", seq, 10).event())
	}
	for seq := 2001; seq <= 4000; seq++ {
		all = append(all, denied("A", seq, 10).record())
	}
	got := reads{records: all, audits: [][]string{audit}}.report(t)
	if got.WithoutRecord != 1999 || got.WithoutEvent != 2001 || len(got.MissingRecords) != 1000 || len(got.MissingEvents) != 1000 {
		t.Errorf("got %d records and %d events, and named %d and %d", got.WithoutRecord, got.WithoutEvent, len(got.MissingRecords),
			len(got.MissingEvents))
	}
}

func FuzzReport(f *testing.F) {
	a, b := denied("A", 1, 0), denied("A", 3, 20)
	f.Add(a.record()+"\n"+b.record(), a.event()+"\n"+b.event(), false)
	f.Add(a.brief()+"\n"+b.compact("brief"), a.event(`"stageTimestamp":"0001-01-01T00:00:00Z"`), true)
	f.Add(denied("A\x1b", 1<<62, 0).record(), denied("A", 1<<62, -1e9).event(), true)
	f.Fuzz(func(t *testing.T, recordLines, eventLines string, partial bool) {
		in := reads{records: []string{recordLines}, audits: [][]string{{eventLines}, {eventLines + " "}}}
		in.allow.Partial = partial
		got, err := in.try()
		if err != nil {
			t.Skip() // an input that cannot be read
		}
		sum := got.Both + got.WithoutEvent + got.Late + got.Unanswered + got.RecordsOutside + got.RecordsUnlogged + got.RecordsUnclear
		if sum != got.Records {
			t.Errorf("%d records are accounted for: %+v", sum, got.Totals)
		}
		if events := got.Both + got.WithoutRecord + got.EventsBefore + got.EventsOutside; events != got.Events {
			t.Errorf("%d events are accounted for, of %d", events, got.Events)
		}
		var texts []string
		for _, b := range got.Boots {
			texts = append(texts, b.Boot)
		}
		for _, m := range got.MissingRecords {
			texts = append(texts, m.AuditID, m.User, m.Name, m.Namespace, m.Resource, m.Subresource, m.Operation, m.Webhook)
		}
		if text := strings.Join(append(texts, got.UnloggedKinds...), ""); strings.ContainsAny(text, "\x00\x1b\n\u2028") {
			t.Errorf("a text does not print: %q", text)
		}
	})
}

// BenchmarkCheck measures what the comparison takes per record beside reading the logs.
func BenchmarkCheck(b *testing.B) {
	in := reads{}
	var audit []string
	for seq := 1; seq <= 10_000; seq++ {
		w := denied("A", seq, float64(seq)/100)
		in.records = append(in.records, w.compact("f"))
		audit = append(audit, w.event())
	}
	in.audits = [][]string{audit}
	b.ReportAllocs()
	for b.Loop() {
		if got := in.report(b); got.Both != uint64(len(audit)) {
			b.Fatalf("got %+v", got.Totals)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(audit)), "ns/record")
}
