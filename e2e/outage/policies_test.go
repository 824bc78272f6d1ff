// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

const crdName = "noderestrictionpolicies.noderestriction.plus"

// denyDirectUpdates returns a policy that denies [directUpdate], or that matches no node.
func denyDirectUpdates(name string, deny bool) *v1alpha1.NodeRestrictionPolicy {
	p := product.DenyFinalizers(name, "nobody")
	p.Spec.Nodes = v1alpha1.NodeRules{DirectUpdates: &v1alpha1.NodeDirectUpdates{}}
	if deny {
		p.Spec.Match.NodeNames = []v1alpha1.Pattern{stolenNode}
	}
	return p
}

// directUpdate returns a dry run of a write that no policy of the chart denies.
func directUpdate() suite.Request {
	w := suite.AnnotateOwnNode(stolenNode)
	w.Body = strings.Replace(w.Body, "true", "false", 1)
	w.DryRun = true
	return w
}

// crdDeleted deletes the CRD, and with it all policies, under load, and restores both.
func (s *setup) crdDeleted(t *testing.T) {
	before := s.restarts()
	stop := s.load(t, 20)
	_, err := s.Kubectl.Run(t.Context(), nil, "delete", "crd", crdName)
	suite.Check(t, err)
	lost := time.Now()
	took := suite.Eventually(t, recovery, func() error {
		for _, r := range s.Replicas() {
			m, err := r.Metrics(t.Context())
			if err != nil {
				return err
			}
			if m.Sum("node_restriction_plus_policy_source_lost") != 1 {
				return fmt.Errorf("%s does not report that its source is lost", r.Pod)
			}
		}
		return nil
	})
	t.Logf("every replica reports %s later that its source is lost", took.Round(100*time.Millisecond))
	suite.Sleep(t.Context(), 10*time.Second) // of denials by policies in memory
	answers := stop()
	t.Logf("%s; %d failed", suite.Summary(answers), len(failed(answers)))
	if n := len(failed(answers)); n > 0 {
		t.Errorf("%d writes failed: %s", n, failed(answers)[0])
	}
	s.checkUndisturbed(t, before)
	if len(s.recordsAfter(t, lost)) == 0 {
		t.Error("nothing was denied while there was no CRD")
	}

	suite.Check(t, product.ApplyCRD(t.Context(), s.Kubectl))
	s.reinstall(t, current)
}

// reinstall upgrades the release, which restores missing objects.
func (s *setup) reinstall(t *testing.T, tag string) {
	t.Helper()
	suite.Eventually(t, recovery, func() error { return s.Install(t.Context(), tag, s.values...) })
}

// permissionsRemoved deletes the binding of the product's role, changes a policy, and restores the binding.
func (s *setup) permissionsRemoved(t *testing.T) {
	before := s.restarts()
	bindings := s.Admin.RbacV1().ClusterRoleBindings()
	binding, err := bindings.Get(t.Context(), cluster.Name, metav1.GetOptions{})
	suite.Check(t, err)
	suite.Check(t, bindings.Delete(t.Context(), cluster.Name, metav1.DeleteOptions{}))
	// Open watches continue until the API server closes them: it is restarted.
	s.ControlPlane.APIServer.Stop()
	suite.Check(t, s.ControlPlane.APIServer.Run(t.Context()))
	stop := s.load(t, 20)
	suite.Check(t, s.Policies.Create(t.Context(), denyDirectUpdates("unseen", true)))
	suite.Sleep(t.Context(), 15*time.Second) // three readiness probes
	answers := stop()
	t.Logf("without permissions: %s", suite.Summary(answers))
	for _, a := range failed(answers) {
		t.Errorf("a write failed: %s", a)
	}
	if a := s.write(t, directUpdate()); a.Outcome != suite.Allowed {
		t.Errorf("a policy that the product cannot read is in force: %s", a)
	}
	s.checkUndisturbed(t, before)

	binding.ResourceVersion, binding.UID = "", ""
	_, err = bindings.Create(t.Context(), binding, metav1.CreateOptions{})
	suite.Check(t, err)
	took := s.awaitReady(t, "unseen", metav1.ConditionTrue)
	t.Logf("the policy is in force %s after the permissions are restored", took.Round(100*time.Millisecond))
	if took > time.Minute {
		t.Errorf("it took %s", took)
	}
	s.checkUndisturbed(t, before)
	suite.Check(t, product.Retire(t.Context(), s.Policies, "unseen"))
}

// awaitReady waits until the Ready condition of a policy has a status for its current generation.
func (s *setup) awaitReady(t *testing.T, name string, want metav1.ConditionStatus) time.Duration {
	t.Helper()
	return suite.Eventually(t, recovery, func() error {
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, p); err != nil {
			return err
		}
		if p.Status != nil {
			ready := meta.FindStatusCondition(p.Status.Conditions, "Ready")
			if ready != nil && ready.Status == want && ready.ObservedGeneration == p.Generation {
				return nil
			}
		}
		return fmt.Errorf("%s is not Ready=%s: %+v", name, want, p.Status)
	})
}

// brokenPolicy stores a version of a policy that does not compile, while no webhook validates it.
func (s *setup) brokenPolicy(t *testing.T) {
	const name = "broken"
	good := denyDirectUpdates(name, true)
	suite.Check(t, product.Enforce(t.Context(), s.Policies, good))
	s.awaitDenied(t, directUpdate())

	s.CutNetwork(true) // so that the webhook for policies is not called
	suite.Check(t, s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, good))
	good.Spec.Match.NodeSelector = &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Resembles"}},
	}
	err := s.Policies.Update(t.Context(), good)
	s.CutNetwork(false)
	suite.Check(t, err)
	s.awaitReady(t, name, metav1.ConditionFalse)
	stored := &v1alpha1.NodeRestrictionPolicy{}
	suite.Check(t, s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, stored))
	t.Logf("the condition says: %s", meta.FindStatusCondition(stored.Status.Conditions, "Ready").Message)
	for range 9 { // each replica is called
		if a := s.write(t, directUpdate()); a.Outcome != suite.Denied {
			t.Fatalf("the last good version is not in force: %s", a)
		}
		if a := s.write(t, suite.AddFinalizer(stolenNode)); a.Outcome != suite.Denied {
			t.Fatalf("another policy is not in force: %s", a)
		}
	}
	suite.Check(t, product.Retire(t.Context(), s.Policies, name))
}

// awaitDenied waits until every replica denies a write.
func (s *setup) awaitDenied(t *testing.T, w suite.Request) time.Duration {
	t.Helper()
	return suite.Eventually(t, recovery, func() error {
		for range 9 {
			if a := s.write(t, w); a.Outcome != suite.Denied {
				return errors.New(a.String())
			}
		}
		return nil
	})
}

// flips changes a policy every 2 s under load; another policy denies all the time.
func (s *setup) flips(t *testing.T) {
	const rounds, every, propagation = 10, 2 * time.Second, 5 * time.Second
	stop := s.load(t, 50)
	deny := false
	for range rounds {
		deny = !deny
		changed := time.Now()
		suite.Check(t, product.Enforce(t.Context(), s.Policies, denyDirectUpdates("flip", deny)))
		if took := time.Since(changed); took > propagation {
			t.Errorf("a change is in force only after %s", took)
		}
		suite.Sleep(t.Context(), time.Until(changed.Add(every)))
	}
	answers := stop()
	t.Logf("%s", suite.Summary(answers))
	for _, a := range failed(answers) {
		t.Errorf("a write failed: %s", a)
	}
	suite.Check(t, product.Retire(t.Context(), s.Policies, "flip"))
}
