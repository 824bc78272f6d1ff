// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/promote"
)

// testPromote shows that the command promote understands the status and the records of a running webhook: of a policy that has denied
// nothing only the short time is against it, and after a violation also that, by both.
func (s *environment) testPromote(t *testing.T) {
	const node = "promoted-1"
	p := product.DenyFinalizers("promoted", node)
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Audit}
	suite.Check(t, product.Enforce(t.Context(), s.Policies, p))
	t.Cleanup(func() { suite.Check(t, s.Policies.Delete(context.WithoutCancel(t.Context()), p)) })
	s.CreateNode(t, node)
	kubelet := suite.Kubelet(t, s.ControlPlane.APIServer, node)
	kubelet.MustSend(t, suite.PatchNodeStatus(node, `{"metadata":{"annotations":{"example.com/a":"1"}}}`))
	dryRun := suite.AddFinalizer(node)
	dryRun.DryRun = true // so that there is a record, which does not count
	kubelet.MustSend(t, dryRun)
	s.awaitEvaluated(t, "promoted", "UPDATE nodes/status", 2) // an API server may ask twice about a write
	if refused, reasons := s.promote(t, "promoted"); refused != "in-force" || !strings.Contains(reasons, "which is less than the window") {
		t.Errorf("%q refuse: %s", refused, reasons)
	}
	refused, printed := s.promote(t, "promoted", "--force", "a test")
	if refused != "in-force" || !strings.Contains(printed, `"promoted": true`) {
		t.Errorf("with --force: %q refuse: %s", refused, printed)
	}

	first, err := s.product.Records.Len()
	suite.Check(t, err)
	kubelet.MustSend(t, suite.AddFinalizer(node))
	records, err := s.product.Records.Since(first)
	suite.Check(t, err)
	s.awaitViolations(t, "promoted", int64(len(records)), func(v *v1alpha1.Violations) *v1alpha1.ViolationCount { return v.Audited })
	refused, printed = s.promote(t, "promoted")
	for _, want := range []string{"status.violations.audited: the latest ", " of node-finalizers, the latest at "} {
		if refused != "in-force no-would-denials" || !strings.Contains(printed, want) {
			t.Errorf("%q refuse: %s; want %q", refused, printed, want)
		}
	}
}

// promote runs the command for a policy, as it is, with all records. It returns the gates that refuse, and everything that was printed.
func (s *environment) promote(t *testing.T, name string, args ...string) (refused, printed string) {
	t.Helper()
	stored := &v1alpha1.NodeRestrictionPolicy{}
	suite.Check(t, s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, stored))
	stored.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(v1alpha1.Kind))
	object, err := yaml.Marshal(stored)
	suite.Check(t, err)
	records, err := s.product.Records.Since(0)
	suite.Check(t, err)
	var log strings.Builder
	for i := range records {
		fmt.Fprintln(&log, strings.TrimSpace(records[i].Text))
	}
	dir := t.TempDir()
	policyFile, logFile := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "denials.log")
	suite.Check(t, os.WriteFile(policyFile, object, 0o600))
	suite.Check(t, os.WriteFile(logFile, []byte(log.String()), 0o600))

	root := command.Plugin(command.ByKubectl, promote.Command())
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append([]string{
		"promote", "--window", time.Hour.String(), "--accept-unexercised", "CREATE nodes", "--records", logFile, "-o", "json", policyFile,
	}, args...))
	err = root.ExecuteContext(t.Context())
	var report struct {
		Gates []struct {
			Name   string
			Passed bool
		}
	}
	if json.Unmarshal(out.Bytes(), &report) != nil || command.ExitCode(err) == command.CodeNoAnswer {
		t.Fatalf("%v: %s%s", err, &out, &errs)
	}
	var names []string
	for _, g := range report.Gates {
		if !g.Passed {
			names = append(names, g.Name)
		}
	}
	return strings.Join(names, " "), out.String() + errs.String()
}
