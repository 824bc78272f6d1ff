// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package certmanager_test runs the chart with the real cert-manager: certificates and CAs are issued, injected, renewed and rotated
// while a kubelet writes.
package certmanager_test

import (
	"testing"
	"time"

	"k8s.io/client-go/dynamic"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/suite"
)

const (
	// node is the node whose kubelet writes.
	node = "worker-1"
	// patience bounds each wait, on a busy machine.
	patience = 3 * time.Minute
	// tag is the tag of the product's image.
	tag = "current"
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// setup is a cluster with cert-manager in which the chart is installed.
type setup struct {
	*cluster.Cluster
	*certManager
	objects dynamic.Interface
	kubelet *suite.Client
	values  []string // of the chart
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	suite.Check(t, err)
	s := &setup{values: []string{"policies.recommended=Deny"}}
	s.Cluster = cluster.New(t, "certmanager", cluster.Options{Nodes: 3, Images: map[string]string{tag: binary}})
	config, err := s.ControlPlane.Admin()
	suite.Check(t, err)
	s.objects, err = dynamic.NewForConfig(config)
	suite.Check(t, err)
	s.kubelet = suite.Kubelet(t, s.ControlPlane.APIServer, node)
	if a := s.kubelet.Do(t.Context(), suite.RegisterNode(node, nil)); a.Outcome != suite.Allowed {
		t.Fatalf("the Node does not register: %s", a)
	}
	s.certManager = s.installCertManager(t)
	return s
}

// startFlood starts a kubelet whose writes are denied and allowed in turn. With tolerateLate the timeouts of the webhooks stay as Helm
// has set them.
func (s *setup) startFlood(t *testing.T, tolerateLate bool) *suite.Flood {
	t.Helper()
	denied := suite.Expectation{Request: suite.AddFinalizer(node), Want: suite.Denied}
	allowed := suite.Expectation{Request: suite.AnnotateOwnNode(node), Want: suite.Allowed}
	return s.StartFlood(t, suite.FloodOptions{
		Kubelet: s.kubelet, Interval: 40 * time.Millisecond, TolerateLate: tolerateLate,
		Expectations: []suite.Expectation{denied, allowed, denied, allowed},
	})
}

// endFlood ends a flood after four more reconnections.
func endFlood(t *testing.T, flood *suite.Flood) {
	t.Helper()
	flood.AwaitReconnections(t, 4)
	flood.End(t)
}
