// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hostile_test sends the product, which runs beside a real API server, what no API server sends: requests from other clients,
// malformed, forged, too large, too slow or too many requests. Whatever arrives, nothing that a policy denies is allowed, the process
// keeps running within its memory, and writes of a real kubelet are evaluated.
package hostile_test

import (
	"os"
	"path/filepath"
	"testing"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
)

const (
	// node is the Node of the real kubelet, in whose name other clients forge reviews.
	node = "worker-1"
	// apiServerName is the name in the client certificate of the API server.
	apiServerName = "node-restriction-plus-client"
	// memoryLimit is the memory limit of the chart's container, in MiB. Pages of the program's own file do not count: the kernel drops
	// them before it kills the container.
	memoryLimit = 512
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// listener is a control plane whose API server has a client certificate for the product, and the product with the environment of the
// chart.
type listener struct {
	*suite.Suite
	product *product.Product
	// clientCA signs client certificates. The product trusts it and also the cluster CA, as in clusters without a CA of its own.
	clientCA *controlplane.CA
	kubelet  *suite.Client
}

func TestListener(t *testing.T) {
	d := newListener(t)
	t.Run("only API servers are answered", d.testCertificates)
	t.Run("other protocols", d.testProtocols)
	// From here on as in clusters whose API servers cannot be given a certificate: any pod is answered.
	suite.Check(t, d.product.Stop())
	suite.Check(t, d.product.Run(t.Context()))
	suite.Check(t, d.product.AwaitCalled(t.Context(), d.ControlPlane.APIServer))
	t.Run("forged reviews", d.testForged)
	t.Run("bodies", d.testBodies)
	t.Run("policies", d.testPolicies)
	t.Run("large bodies", d.testLargeBodies)
	t.Run("slow bodies", d.testSlowBodies)
	t.Run("idle connections", d.testIdleConnections)
	t.Run("more requests than slots", d.testOverload)
	d.checkHarmless(t)
}

// newListener starts everything, with a policy that denies finalizers.
func newListener(t *testing.T) *listener {
	t.Helper()
	ca, err := controlplane.NewCA("clients")
	suite.Check(t, err)
	certificate, err := ca.Client(apiServerName)
	suite.Check(t, err)
	// The product's port is not known yet.
	flag := suite.ClientCertificateFlag(t, suite.TempDir(t, "admission"), "*", certificate)
	d := &listener{clientCA: ca}
	d.Suite = suite.New(t, "listener", controlplane.APIServerOptions{Args: []string{flag}})
	trusted := filepath.Join(d.Dir, "client-ca.crt")
	suite.Check(t, os.WriteFile(trusted, append(ca.PEM(), d.ControlPlane.CA.PEM()...), 0o644))
	d.product = d.MustInstall(t, product.Options{
		Args: []string{"--client-ca-file=" + trusted, "--client-allowed-names=" + apiServerName}, Env: chartEnvironment(),
	})
	_, err = d.RaiseTimeouts(t.Context(), 30)
	suite.Check(t, err)
	suite.Check(t, product.Enforce(t.Context(), d.Policies, product.DenyFinalizers("finalizers")))
	d.kubelet = suite.Kubelet(t, d.ControlPlane.APIServer, node)
	if a := d.kubelet.Do(t.Context(), suite.RegisterNode(node, nil)); a.Outcome != suite.Allowed {
		t.Fatal(a)
	}
	return d
}

// chartEnvironment returns the environment that the chart gives the container.
func chartEnvironment() []string { return []string{"GOMEMLIMIT=460MiB", "GOMAXPROCS=4"} }

// checkEnforced checks that a write of the real kubelet is denied, and that there is one record of it: a full one, which says how
// the API server has authenticated, or a compact one of a repeated denial.
func (d *listener) checkEnforced(t *testing.T, auth record.ClientAuth) {
	t.Helper()
	first, err := d.product.Records.Len()
	suite.Check(t, err)
	if a := d.kubelet.Do(t.Context(), suite.AddFinalizer(node)); a.Outcome != suite.Denied {
		t.Errorf("a write of the real kubelet is not denied: %s", a)
	}
	records, err := d.product.Records.Since(first)
	suite.Check(t, err)
	if len(records) != 1 || records[0].Node != node || records[0].ClientAuth != auth && records[0].Operation != "" {
		t.Errorf("want one record of %s, clientAuth %s, got %d: %v", node, auth, len(records), records)
	}
}

// checkHarmless checks that nothing panicked and that only records were written.
func (d *listener) checkHarmless(t *testing.T) {
	t.Helper()
	m, err := d.product.Metrics(t.Context())
	suite.Check(t, err)
	for _, name := range []string{"node_restriction_plus_listener_panics_total", "node_restriction_plus_panics_total"} {
		if _, found := m[name]; !found {
			t.Errorf("there is no metric %s", name)
		} else if n := m.Sum(name); n != 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
	strays, err := d.product.Records.Strays()
	suite.Check(t, err)
	if len(strays) > 0 {
		t.Errorf("standard output has a line that is no record: %.300q", strays[0])
	}
}
