// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog_test

import (
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
