// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/decisionlog"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// reloadTimeout bounds the time until an API server has read its files again, which it does once a minute.
const reloadTimeout = 3 * time.Minute

// TestStaticPolicies has an API server enforce recommended and strict from files, as compile --to static writes them, without the
// webhook and without any object.
func TestStaticPolicies(t *testing.T) {
	static, err := controlplane.NewStaticPolicies(suite.TempDir(t, "static-policies"))
	suite.Check(t, err)
	var policies []*manifest.Policy
	options := compile.Options{Partial: compile.Narrower, Static: true}
	for _, preset := range []string{"recommended", "strict"} {
		loaded := load(t, preset)
		suite.Check(t, static.Write(preset+".yaml", compiled(t, loaded[0], options)))
		policies = append(policies, loaded...)
	}
	s := suite.New(t, "static", controlplane.APIServerOptions{Args: static.Args})
	c := &cluster{Suite: s}
	c.store(t)
	list, err := s.Admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{})
	suite.Check(t, err)
	for i := range list.Items {
		t.Errorf("the policy %s is an object", list.Items[i].Name)
	}
	t.Run("attacks", func(t *testing.T) { c.testCompiledAttacks(t, policies) })
	t.Run("a real kubelet", c.testCompiledKubelet)
	t.Run("from the first request", c.testFirstRequest)
	t.Run("a bad file", func(t *testing.T) { c.testBadFile(t, static) })
	t.Run("no file", func(t *testing.T) { c.testNoFile(t, static) })
}

// testFirstRequest restarts the API server while an attacker writes: no write may pass, not even the first one.
func (c *cluster) testFirstRequest(t *testing.T) {
	server := c.ControlPlane.APIServer
	attacker := suite.Kubelet(t, server, node)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server.Stop()
	answers := make(chan map[suite.Outcome]int)
	go func() {
		counts := map[suite.Outcome]int{}
		for ctx.Err() == nil {
			if a := attacker.Do(ctx, suite.AddFinalizer(node)); a.Outcome != suite.NoAnswer {
				counts[a.Outcome]++
			} else if !suite.Sleep(ctx, time.Millisecond) {
				break
			}
		}
		answers <- counts
	}()
	suite.Check(t, server.Run(t.Context()))
	suite.Eventually(t, time.Minute, func() error {
		if a := attacker.Do(t.Context(), suite.AddFinalizer(node)); a.Outcome != suite.Floor {
			return errors.New(a.String())
		}
		return nil
	})
	cancel()
	counts := <-answers
	t.Logf("answers: %v", counts)
	if counts[suite.Allowed] > 0 || counts[suite.Floor] == 0 {
		t.Errorf("answers: %v", counts)
	}
	checkAuditLog(t, server.AuditLog, counts[suite.Floor])
}

// checkAuditLog finds at least so many denials of the attacker in the audit log. Some may be from before the restart.
func checkAuditLog(t *testing.T, path string, want int) {
	t.Helper()
	f, err := os.Open(path)
	suite.Check(t, err)
	defer f.Close()
	found := 0
	suite.Check(t, decisionlog.NewLog(auditlog.Events).Read(f, func(e *decisionlog.Event) error {
		ours := func(v record.Violation) bool { return v.Policy == "recommended" && v.Rule == "node-finalizers" }
		if s := e.Server; s != nil && s.Msg == policy.Denied && s.Node == node && slices.ContainsFunc(s.Violations, ours) {
			found++
		}
		return nil
	}))
	if found < want {
		t.Errorf("the audit log has %d denials, want at least %d", found, want)
	}
}

// testBadFile shows that a bad file changes nothing in a running API server, and keeps one from starting.
func (c *cluster) testBadFile(t *testing.T, static *controlplane.StaticPolicies) {
	suite.Check(t, static.Write("bad.yaml", []byte("apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n")))
	admin := suite.Admin(t, c.ControlPlane.APIServer)
	suite.Eventually(t, reloadTimeout, func() error {
		_, metrics, err := admin.Get(t.Context(), "/metrics")
		if err != nil {
			return err
		}
		if reloads(string(metrics), "failure") == "" {
			return errors.New("the API server has not read the bad file")
		}
		return nil
	})
	attacker := suite.Kubelet(t, c.ControlPlane.APIServer, node)
	if a := attacker.Send(t, suite.AddFinalizer(node)); a.Outcome != suite.Floor {
		t.Errorf("with a bad file: %s", a)
	}
	if _, err := c.ControlPlane.AddAPIServer(t.Context(), controlplane.APIServerOptions{Args: static.Args}); err == nil {
		t.Error("an API server starts with a bad file")
	} else if !strings.Contains(err.Error(), "bad.yaml") {
		t.Errorf("an API server does not start with a bad file: %v", err)
	}
	suite.Check(t, static.Remove("bad.yaml"))
}

// reloads returns the line of the metric that counts how often files were read again, with a status.
func reloads(metrics, status string) string {
	for line := range strings.Lines(metrics) {
		if strings.Contains(line, "automatic_reloads_total{") && strings.Contains(line, fmt.Sprintf("status=%q", status)) {
			return line
		}
	}
	return ""
}

// testNoFile shows that a policy is gone as soon as its file is: this is how the glass is broken.
func (c *cluster) testNoFile(t *testing.T, static *controlplane.StaticPolicies) {
	for _, name := range []string{"recommended.yaml", "strict.yaml"} {
		suite.Check(t, static.Remove(name))
	}
	attacker := suite.Kubelet(t, c.ControlPlane.APIServer, node)
	took := suite.Eventually(t, reloadTimeout, func() error {
		if a := attacker.Do(t.Context(), suite.AddFinalizer(node)); a.Outcome != suite.Allowed {
			return errors.New(a.String())
		}
		return nil
	})
	t.Logf("the policies were gone after %s", took)
}
