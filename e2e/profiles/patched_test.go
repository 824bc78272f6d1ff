// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/cluster"
)

// testPatched breaks the glass as the documents say, by a patch of the failurePolicy, and has Helm put it back: it stops at a
// field that somebody else has changed, unless it is told not to.
func (s *setup) testPatched(t *testing.T) {
	_, err := s.Kubectl.Run(t.Context(), nil, "patch", "validatingwebhookconfiguration", cluster.Name, "--type=json",
		`-p=[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`)
	suite.Check(t, err)
	upgrade := []string{"upgrade", cluster.Release, chartDir(t), "--reset-then-reuse-values"}
	out, err := s.Helm(t.Context(), upgrade...)
	if err == nil || !strings.Contains(out, "conflict") || !strings.Contains(out, "kubectl-patch") {
		t.Errorf("helm passes over a patch: %v, %s", err, out)
	}
	s.checkGate(t, admissionregistrationv1.Ignore)
	_, err = s.Helm(t.Context(), append(upgrade, "--force-conflicts")...)
	suite.Check(t, err)
	s.checkGate(t, admissionregistrationv1.Fail)
	// From now on it is Helm's again.
	_, err = s.Helm(t.Context(), upgrade...)
	suite.Check(t, err)
	s.checkGate(t, admissionregistrationv1.Fail)
}

// checkGate checks what happens while nothing answers to what no stock kubelet writes.
func (s *setup) checkGate(t *testing.T, want admissionregistrationv1.FailurePolicyType) {
	t.Helper()
	stored, err := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Get(t.Context(), cluster.Name, metav1.GetOptions{})
	suite.Check(t, err)
	if w := stored.Webhooks[0]; w.Name != "gate.noderestriction.plus" || *w.FailurePolicy != want {
		t.Errorf("%s is %s, not %s", w.Name, *w.FailurePolicy, want)
	}
}
