package recordlog_test

import (
	"fmt"
	"strings"
	"testing"

	"noderestriction.plus/internal/recordlog"
)

func TestACompactRecordHasWhatTheFullOneHasInCommonWithIt(t *testing.T) {
	_, entries := readLog(t, full(1), compact(2))
	e := entries[1]
	if !e.Compact || e.Like != 1 || e.Seq != 2 || e.UID != "u2" || e.Target() != "nodes/status" || e.Operation != "UPDATE" ||
		e.User != "system:node:worker-1" || len(e.Violations) != 1 || e.Violations[0].Policy != "recommended" ||
		e.Violations[0].Rule != "node-finalizers" || e.Violations[0].Reason != "node finalizers" {
		t.Errorf("got %+v", e)
	}
	if e.Namespace != "" || e.Name != recordlog.Unknown || e.Violations[0].Field != recordlog.Unknown ||
		e.Violations[0].Detail != "" || e.Violations[0].Generation != 0 {
		t.Errorf("it has what no compact record says: %+v", e)
	}
}

func TestTheNamespaceOfACompactRecordIsNotKnown(t *testing.T) {
	_, entries := readLog(t, strings.Replace(full(1), `"namespace":""`, `"namespace":"shop"`, 1), compact(2))
	if entries[1].Namespace != recordlog.Unknown {
		t.Errorf("got %q", entries[1].Namespace)
	}
}

func TestTheNodeOfACompactRecordIsWhole(t *testing.T) {
	long := strings.Repeat("n", 60)
	_, entries := readLog(t, strings.ReplaceAll(full(1), "worker-1", long), strings.Replace(compact(2), "worker-1", long[:29]+"...", 1))
	if entries[1].Node != long {
		t.Errorf("got %q", entries[1].Node)
	}
}

func TestACompactRecordIsOnlyLikeOneOfItsOwnProcess(t *testing.T) {
	_, entries := readLog(t, full(1), strings.Replace(compact(2), "B1", "B2", 1), strings.Replace(compact(2), "f1", "f2", 1))
	for _, e := range entries[1:] {
		if e.Like != 0 || e.Node != "worker-1" || e.Target() != recordlog.Unknown || e.Violations[0].Rule != recordlog.Unknown {
			t.Errorf("got %+v", e)
		}
	}
}

func TestManyKindsOfRecordsTakeBoundedMemoryAndTheLatestAreKnown(t *testing.T) {
	const kinds = 120_000
	var text strings.Builder
	for n := 1; n <= kinds; n++ {
		fmt.Fprintf(&text, `{"ts":"2026-11-24T08:00:00.000Z","logger":"denial","msg":"denied","boot":"B1","seq":%d,`+
			`"operation":"UPDATE","violations":[],"fingerprint":"f%d"}`+"\n", n, n)
	}
	text.WriteString(compact(kinds+1) + "\n" + strings.Replace(compact(kinds+2), "f1", fmt.Sprint("f", kinds-40_000), 1))
	reader, err := recordlog.NewReader(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	log, like := recordlog.NewLog(), map[uint64]uint64{}
	for line, err := reader.Next(); err == nil; line, err = reader.Next() {
		if entry := log.Add("a.log", &line); entry.Compact {
			like[entry.Seq] = entry.Like
		}
	}
	if len(like) != 2 || like[kinds+1] != 0 || like[kinds+2] != kinds-40_000 {
		t.Errorf("the first kind should be forgotten and a late one known: %v", like)
	}
}
