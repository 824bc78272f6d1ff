// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/suite"
)

// testPatched patches the failurePolicy as the documentation says for emergencies, and restores it with Helm, which refuses to
// overwrite the field without --force-conflicts.
func (s *setup) testPatched(t *testing.T) {
	_, err := s.Kubectl.Run(t.Context(), nil, "patch", "validatingwebhookconfiguration", cluster.Name, "--type=json",
		`-p=[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`)
	suite.Check(t, err)
	upgrade := []string{"upgrade", cluster.Release, chartDir(t), "--reset-then-reuse-values"}
	out, err := s.Helm(t.Context(), upgrade...)
	if err == nil || !strings.Contains(out, "conflict") || !strings.Contains(out, "kubectl-patch") {
		t.Errorf("helm ignores a patch: %v, %s", err, out)
	}
	s.checkGate(t, admissionregistrationv1.Ignore)
	_, err = s.Helm(t.Context(), append(upgrade, "--force-conflicts")...)
	suite.Check(t, err)
	s.checkGate(t, admissionregistrationv1.Fail)
	// From now on Helm owns it again.
	_, err = s.Helm(t.Context(), upgrade...)
	suite.Check(t, err)
	s.checkGate(t, admissionregistrationv1.Fail)
}

// checkGate checks the failurePolicy of the gate.
func (s *setup) checkGate(t *testing.T, want admissionregistrationv1.FailurePolicyType) {
	t.Helper()
	stored, err := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Get(t.Context(), cluster.Name, metav1.GetOptions{})
	suite.Check(t, err)
	if w := stored.Webhooks[0]; w.Name != "gate.noderestriction.plus" || *w.FailurePolicy != want {
		t.Errorf("%s is %s, not %s", w.Name, *w.FailurePolicy, want)
	}
}
