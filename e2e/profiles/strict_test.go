// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/policy"
)

// testStrict shows that attacks are denied and recorded, and that no Node registers while no replica answers.
func (s *setup) testStrict(t *testing.T) {
	s.install(t, "profile=strict", "policies.recommended=Deny")
	suite.Check(t, s.AwaitRollout(t.Context()))
	n := s.newNode(t, s.ControlPlane.APIServer, "strict")
	s.awaitEnforced(t, n, suite.Denied)
	n.awaitFloor(t)
	s.helmTest(t)
	s.checkFloorCompiles(t)
	s.checkKubelet(t)

	s.addPods(t, n)
	attacks := n.attacks("strict", suite.Denied)
	n.do(t, attacks...)
	n.do(t, n.registersDenied(suite.Floor))
	n.do(t, n.stock("strict", suite.Exists)...)
	s.checkRecords(t, n, policy.Denied, len(attacks))

	s.scale(t, 0)
	n.do(t, n.attacks("strict-down", suite.Unanswered)...)
	n.do(t, n.registersDenied(suite.Floor))
	n.do(t, n.stock("strict-down", suite.Unanswered)...)
	newcomer := suite.Kubelet(t, s.ControlPlane.APIServer, "strict-newcomer")
	if a := newcomer.Do(t.Context(), suite.RegisterNode("strict-newcomer", nil)); a.Outcome != suite.Unanswered {
		t.Errorf("a new Node registers while no replica answers: %s", a)
	}
	s.checkRecords(t, n, policy.Denied, len(attacks))
	s.scale(t, 1)
	s.awaitEnforced(t, n, suite.Denied)
	s.checkKubelet(t)
	s.testOwnPods(t, n)
	s.testPatched(t)
}

// checkFloorCompiles waits until the controllers have type-checked the floor's expressions, which must have no warnings.
func (s *setup) checkFloorCompiles(t *testing.T) {
	t.Helper()
	suite.Eventually(t, recovery, func() error {
		floor, err := s.Admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().
			Get(t.Context(), cluster.Name+"-recommended", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if floor.Status.ObservedGeneration != floor.Generation || floor.Status.TypeChecking == nil {
			return errors.New("the floor is not type-checked yet")
		}
		for _, w := range floor.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s: %s", w.FieldRef, w.Warning)
		}
		return nil
	})
}
