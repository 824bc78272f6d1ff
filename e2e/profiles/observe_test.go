// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"testing"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/policy"
)

// recordsOf returns the records of a Node's writes, except dry runs.
func (s *setup) recordsOf(t *testing.T, n *node) []product.Line {
	t.Helper()
	all, err := s.Records()
	suite.Check(t, err)
	var own []product.Line
	for _, r := range all {
		if r.Node == n.name && !r.DryRun {
			own = append(own, r)
		}
	}
	return own
}

// checkRecords checks that there is a record of each attack with a violation of recommended, and no other record. An API server calls
// the webhook again if another client has changed the object.
func (s *setup) checkRecords(t *testing.T, n *node, want policy.Outcome, attacks int) {
	t.Helper()
	type write struct{ operation, resource, subresource, rule string }
	writes := map[write]bool{}
	for _, r := range s.recordsOf(t, n) {
		if r.Msg != want || len(r.Violations) == 0 || r.Violations[0].Policy != "recommended" {
			t.Errorf("want %s by recommended: %s", want, r.Text)
			continue
		}
		writes[write{r.Operation, r.Resource, r.Subresource, r.Violations[0].Rule}] = true
	}
	if len(writes) != attacks {
		t.Errorf("there are records of %d of %d writes: %v", len(writes), attacks, writes)
	}
}

// testObserve shows that nothing is refused, whether a replica answers or not, and that violations of recommended are recorded.
func (s *setup) testObserve(t *testing.T) {
	s.install(t, "profile=observe")
	suite.Check(t, s.AwaitRollout(t.Context()))
	n := s.newNode(t, s.ControlPlane.APIServer, "observed")
	s.awaitEnforced(t, n, suite.Allowed)
	s.helmTest(t)
	s.checkKubelet(t)

	s.addPods(t, n)
	attacks := n.attacks("observed", suite.Allowed)
	n.do(t, attacks...)
	n.do(t, n.registersDenied(suite.Exists))
	n.do(t, n.stock("observed", suite.Exists)...)
	s.checkRecords(t, n, policy.Audited, len(attacks)+1)

	s.scale(t, 0)
	s.addPods(t, n)
	n.do(t, n.attacks("observed-down", suite.Allowed)...)
	n.do(t, n.registersDenied(suite.Exists))
	n.do(t, n.stock("observed-down", suite.Exists)...)
	s.newNode(t, s.ControlPlane.APIServer, "observed-newcomer")
	s.checkKubelet(t)
	s.checkRecords(t, n, policy.Audited, len(attacks)+1)
	s.scale(t, 1)
}
