// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"testing"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/policy"
)

// testControlPlane: each API server asks the pod on its own node, by loopback.
func (s *setup) testControlPlane(t *testing.T) {
	s.install(t, append(freePorts(t), "profile=controlPlane", "policies.recommended=Deny")...)
	check(t, s.AwaitDaemonSet(t.Context()))
	n := s.newNode(t, s.ControlPlane.APIServer, "asked-beside")
	s.awaitEnforced(t, n, cluster.Denied)
	n.awaitFloor(t)
	s.helmTest(t)
	s.checkKubelet(t)

	s.addPods(t, n)
	attacks := n.attacks("beside", cluster.Denied)
	n.do(t, attacks...)
	n.do(t, n.registersDenied(cluster.Floor))
	n.do(t, n.stock("beside", cluster.Exists, cluster.Allowed)...)
	s.checkRecords(t, n, policy.Denied, len(attacks))

	s.Nodes[0].PowerOff()
	n.do(t, n.attacks("beside-down", cluster.Unanswered)...)
	n.do(t, n.registersDenied(cluster.Floor))
	n.do(t, n.stock("beside-down", cluster.Exists, cluster.Unanswered)...)
	s.newNode(t, s.ControlPlane.APIServer, "beside-newcomer")
	s.checkRecords(t, n, policy.Denied, len(attacks))
	s.Nodes[0].PowerOn()
	check(t, s.AwaitDaemonSet(t.Context()))
	s.awaitEnforced(t, n, cluster.Denied)
	s.checkKubelet(t)
}
