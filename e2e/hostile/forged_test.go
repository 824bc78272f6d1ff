// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/internal/record"
)

// testForged shows what a pod can do that reaches the port, where client certificates are not demanded: it makes records
// in the name of any node, which say that nobody has shown who asked. It changes nothing in the cluster, and nothing for
// the node in whose name it was.
func (d *listener) testForged(t *testing.T) {
	pod := d.sender(t, controlplane.Certificate{})
	config, err := d.plane.Admin()
	suite.Check(t, err)
	admin, err := kubernetes.NewForConfig(config)
	suite.Check(t, err)
	stored := func() *corev1.Node {
		n, err := admin.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
		suite.Check(t, err)
		return n
	}
	before := stored()
	first, err := d.product.Records.Len()
	suite.Check(t, err)
	answer, err := pod.post(suite.Within(t, time.Minute), "/admit", []byte(forgery("forged", node, "")))
	suite.Check(t, err)
	if !answer.deniedAs("forged") {
		t.Errorf("want it denied, got %s", answer)
	}
	// What is allowed is allowed to nobody: the answer is no write.
	answer, err = pod.post(suite.Within(t, time.Minute), "/admit",
		[]byte(review("harmless", node, `{"metadata":{"name":"`+node+`"}}`)))
	suite.Check(t, err)
	if !answer.allowed() {
		t.Errorf("want it allowed, got %s", answer)
	}
	records, err := d.product.Records.Since(first)
	suite.Check(t, err)
	if len(records) != 1 || records[0].UID != "forged" || records[0].ClientAuth != record.ClientAuthNone {
		t.Errorf("want one record without a client's certificate, got %v", records)
	}
	if after := stored(); after.ResourceVersion != before.ResourceVersion {
		t.Error("the Node has changed")
	}
	// Where API servers show none either, their records look the same: docs/mtls.md.
	d.checkEnforced(t, record.ClientAuthNone)
}
