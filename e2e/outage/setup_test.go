// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outage_test shows what happens while the product, or something that it needs, is down: it runs what the chart installs in a
// cluster with real kubelets.
package outage_test

import (
	"fmt"
	"testing"
	"time"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// setup is a cluster in which the chart is installed, with a real kubelet and an attacker who has the credential of another one.
type setup struct {
	*cluster.Cluster
	binary   string // of the current version
	kubelet  *kubelet.Kubelet
	attacker *suite.Client // has the credential of stolenNode
	values   []string      // of the chart
	answers  answerCounts
}

const (
	// kubeletNode is the node of the real kubelet, stolenNode the node whose credential was stolen.
	kubeletNode = "worker-1"
	stolenNode  = "worker-2"
	// current is the tag of the product's image, and next the tag of another version.
	current = "current"
	next    = "next"
	// deniedLabel is denied by the policy at registration, and by no plugin of Kubernetes.
	deniedLabel = "example.com/pci"
	// recovery is the time in which everything must recover without a person.
	recovery = 3 * time.Minute
)

// options are the differences between setups.
type options struct {
	controllers []string // further flags of the controllers
	selfManaged bool     // certificates are self-managed, the default of the chart; otherwise they are in a Secret
}

// newSetup installs the chart with policies that deny.
func newSetup(t *testing.T, o options) *setup {
	t.Helper()
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	suite.Check(t, err)
	s := &setup{binary: binary}
	s.Cluster = cluster.New(t, "outage", cluster.Options{
		Nodes: 3, Images: map[string]string{current: binary}, Controllers: o.controllers,
	})
	if !o.selfManaged {
		s.values, err = s.Provide(t.Context(), "serving")
		suite.Check(t, err)
	}
	s.values = append(s.values, "policies.recommended=Deny",
		"policies.adapt.recommended.nodes.labels.registration.denied={"+deniedLabel+"}")
	suite.Check(t, s.Install(t.Context(), current, s.values...))
	s.attacker = suite.Kubelet(t, s.ControlPlane.APIServer, stolenNode)
	a := s.attacker.Do(t.Context(), suite.RegisterNode(stolenNode, nil))
	if a.Outcome != suite.Allowed {
		t.Fatalf("%s does not register: %s", stolenNode, a)
	}
	s.kubelet = s.MustStartKubelet(t, kubelet.Options{Node: kubeletNode})
	suite.Check(t, s.kubelet.AddStaticPod("proxy", kubelet.StaticPod("proxy")))
	suite.Check(t, s.AwaitRollout(t.Context()))
	s.awaitRecovered(t)
	// From now on the same write changes nothing.
	if a := s.write(t, suite.AnnotateOwnNode(stolenNode)); a.Outcome != suite.Allowed {
		t.Fatal(a)
	}
	return s
}

// awaitRecovered waits until there are three replicas, every one denies, the policy is in force and the kubelet is Ready. It returns
// how long that took.
func (s *setup) awaitRecovered(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	lap := func(what string) { t.Logf("%s after another %s", what, time.Since(began).Round(100*time.Millisecond)) }
	suite.Check(t, s.AwaitRollout(t.Context()))
	lap("every replica is available")
	// The replicas are called in turn.
	denied := 0
	suite.Eventually(t, recovery, func() error {
		for denied < 9 {
			if a := s.write(t, suite.AddFinalizer(stolenNode)); a.Outcome != suite.Denied {
				denied = 0
				return fmt.Errorf("not every write is denied: %s", a)
			}
			denied++
		}
		return nil
	})
	lap("every replica denies")
	suite.Check(t, product.AwaitReady(t.Context(), s.Policies, "recommended"))
	lap("the policy is in force")
	suite.Check(t, s.kubelet.AwaitReady(suite.Within(t, recovery), s.Admin, time.Now()))
	lap("the kubelet is Ready")
	s.AwaitPod(t, recovery, "kube-system", "proxy-"+kubeletNode, suite.Running)
	return time.Since(began)
}
