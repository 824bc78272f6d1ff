// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/policy"
)

// fullDisk is a log whose disk is full for some writes.
type fullDisk struct {
	bytes.Buffer
	full bool
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if !d.full {
		return d.Buffer.Write(p)
	}
	n, err := d.Buffer.Write(p[:min(len(p), 10)])
	return n, errors.Join(err, errors.New("no space left on device"))
}

// denied is the record of a denial, without what the ledger adds.
func denied(uid int, node string) record.Record {
	return record.New(
		record.Origin{UID: fmt.Sprint(uid), User: "system:node:" + node, ClientAuth: record.ClientAuthMTLS, Version: "v0.1.0"},
		&policy.Request{
			NodeName: node, Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: node,
		},
		policy.Decision{NodeName: node, Violations: []policy.PolicyViolation{{
			Policy: "recommended", Generation: 3, Rule: "node-finalizers", Action: v1alpha1.Deny,
			Violation: policy.Violation{Field: "metadata.finalizers", Detail: "must not add \"x\"\u2028\xff\x1b[31m"},
		}}})
}

// TestWhatTheLedgerWritesIsRead is the contract between who writes the log and who reads it.
func TestWhatTheLedgerWritesIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out fullDisk
		ledger := denial.New(&out)
		uid := 0
		deny := func(times int, node string) {
			for range times {
				uid++
				ledger.Record(denied(uid, node))
				synctest.Wait()
			}
		}
		deny(30, "worker-with-a-name-that-is-longer-than-a-short-line-has-room-for")
		out.full = true
		deny(1, "worker-2")
		out.full = false
		deny(2, "worker-2")
		if err := ledger.Close(t.Context()); err != nil {
			t.Fatal(err)
		}

		log, groups := recordlog.NewLog(), recordlog.NewGroups(recordlog.ByNode, recordlog.ByRule)
		short := 0
		for _, line := range readLines(t, &out.Buffer) {
			if entry := log.Add("log", &line); entry != nil {
				groups.Add(entry, entry.Violations)
				if entry.Compact {
					short++
				}
			}
		}
		found := log.Verify(recordlog.Allowances{})
		if found.Records != 32 || found.Missing != 1 || found.SaidLost != 1 || found.Unparsable != 1 || found.Complete ||
			found.Boots[0].MissingRanges[0] != (recordlog.Range{First: 31, Last: 31}) {
			t.Errorf("got %+v", found)
		}
		sorted := groups.Sorted()
		if short != 20 || len(sorted) != 2 || sorted[0].Count != 30 || sorted[0].Values[1] != "node-finalizers" || sorted[1].Count != 2 {
			t.Errorf("got %d short lines, %d groups", short, len(sorted))
		}
	})
}
