// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e_test runs the product against a real control plane and real kubelets.
package e2e_test

import (
	"testing"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// environment is a control plane, with NodeRestriction, and the product in front of it.
type environment struct {
	*suite.Suite
	helm    string // path
	product *product.Product
}

// pair is an environment with a second API server of the same cluster, without NodeRestriction, which the administrators use.
type pair struct {
	*environment
	open *controlplane.APIServer
}

// TestProduct has as its parts the tests that need no controllers: all share one control plane and one product. Tests that check
// totals run alone.
func TestProduct(t *testing.T) {
	t.Parallel()
	s := &pair{environment: newEnvironment(t, controlplane.APIServerOptions{})}
	var err error
	s.open, err = s.ControlPlane.AddAPIServer(t.Context(), controlplane.APIServerOptions{WithoutNodeRestriction: true})
	suite.Check(t, err)
	suite.Check(t, s.Administer(s.open))
	s.install(t, s.ControlPlane.APIServer, s.open)
	t.Run("policies", s.testPolicies)
	t.Run("ownership", s.testOwnership)
	t.Run("bodies", s.testBodies)
	t.Run("denials", s.testDenials)
	t.Run("audited and warned", s.testAuditedAndWarned)
	t.Run("promote", s.testPromote)
	t.Run("both logs", s.testBothLogs)
	t.Run("restart", s.testRestart)
	t.Run("fixtures", s.testFixtures)
	t.Run("distributions", s.testDistributions)
	t.Run("metrics", s.testMetrics)
	t.Run("strays", s.testStrays)
}

// newEnvironment starts the control plane. The product is not installed yet.
func newEnvironment(t *testing.T, o controlplane.APIServerOptions) *environment {
	t.Helper()
	return &environment{Suite: suite.New(t, "e2e", o)}
}

// install installs the product and waits until these API servers call it, or the first one if none is named.
func (s *environment) install(t *testing.T, servers ...*controlplane.APIServer) {
	t.Helper()
	build := binaries.Plain()
	if raceDetector {
		build = binaries.Race()
	}
	binary, err := binaries.Product(t.Context(), t.Output(), build)
	suite.Check(t, err)
	s.helm, err = binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	s.product = s.MustInstall(t, product.Options{Binary: binary}, servers...)
	if raceDetector {
		s.raiseTimeouts(t)
	}
}

// raiseTimeouts gives a product with the race detector, which is ten times slower, more time to answer.
func (s *environment) raiseTimeouts(t *testing.T) {
	t.Helper()
	_, err := s.RaiseTimeouts(t.Context(), 10)
	suite.Check(t, err)
}
