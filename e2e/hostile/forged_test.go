// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"testing"
	"time"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
)

// testForged shows what a pod that reaches the port can do if client certificates are not required: it can create records in the
// name of any node, which say that the client was not authenticated. It changes nothing in the cluster or for the node.
func (d *listener) testForged(t *testing.T) {
	pod := d.sender(t, controlplane.Certificate{})
	before := d.GetNode(t, node)
	first, err := d.product.Records.Len()
	suite.Check(t, err)
	answer, err := pod.post(suite.Within(t, time.Minute), "/admit", []byte(forgery("forged", node, "")))
	suite.Check(t, err)
	if !answer.deniedAs("forged") {
		t.Errorf("want it denied, got %s", answer)
	}
	// An allowed review changes nothing: the answer is not a write.
	answer, err = pod.post(suite.Within(t, time.Minute), "/admit",
		[]byte(review("harmless", node, `{"metadata":{"name":"`+node+`"}}`)))
	suite.Check(t, err)
	if !answer.allowed() {
		t.Errorf("want it allowed, got %s", answer)
	}
	records, err := d.product.Records.Since(first)
	suite.Check(t, err)
	if len(records) != 1 || records[0].UID != "forged" || records[0].ClientAuth != record.ClientAuthNone {
		t.Errorf("want one record without a client certificate, got %v", records)
	}
	if after := d.GetNode(t, node); after.ResourceVersion != before.ResourceVersion {
		t.Error("the Node has changed")
	}
	// If API servers have no certificate either, their records look the same: docs/mtls.md.
	d.checkEnforced(t, record.ClientAuthNone)
}
