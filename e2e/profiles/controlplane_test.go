// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"testing"

	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/policy"
)

// testControlPlane shows that each API server calls the pod on its own node through loopback.
func (s *setup) testControlPlane(t *testing.T) {
	s.install(t, append(freePorts(t), "profile=controlPlane", "policies.recommended=Deny")...)
	suite.Check(t, s.AwaitDaemonSet(t.Context()))
	n := s.newNode(t, s.ControlPlane.APIServer, "beside")
	s.awaitEnforced(t, n, suite.Denied)
	n.awaitFloor(t)
	s.helmTest(t)
	s.checkKubelet(t)

	s.addPods(t, n)
	attacks := n.attacks("beside", suite.Denied)
	n.do(t, attacks...)
	n.do(t, n.registersDenied(suite.Floor))
	n.do(t, n.stock("beside", suite.Exists)...)
	s.checkRecords(t, n, policy.Denied, len(attacks))

	s.Nodes[0].PowerOff()
	n.do(t, n.attacks("beside-down", suite.Unanswered)...)
	n.do(t, n.registersDenied(suite.Floor))
	n.do(t, n.stock("beside-down", suite.Exists)...)
	s.newNode(t, s.ControlPlane.APIServer, "beside-newcomer")
	s.checkRecords(t, n, policy.Denied, len(attacks))
	s.Nodes[0].PowerOn()
	suite.Check(t, s.AwaitDaemonSet(t.Context()))
	s.awaitEnforced(t, n, suite.Denied)
	s.checkKubelet(t)
}
