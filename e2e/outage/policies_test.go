// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
)

const (
	definition = "noderestrictionpolicies.noderestriction.plus"
	crdFile    = "config/crd/noderestriction.plus_noderestrictionpolicies.yaml"
)

// denyTouches is a policy that denies what touches writes, or concerns nobody.
func denyTouches(name string, deny bool) *v1alpha1.NodeRestrictionPolicy {
	p := harmless(name)
	p.Spec.Nodes = v1alpha1.NodeRules{DirectUpdates: &v1alpha1.NodeDirectUpdates{}}
	if deny {
		p.Spec.Match.NodeNames = []v1alpha1.Pattern{stolenNode}
	}
	return p
}

// touches is a write that no policy of the chart denies. It stores nothing.
func touches() cluster.Write {
	w := ownAnnotation(stolenNode)
	w.Body = strings.Replace(w.Body, "true", "false", 1)
	w.DryRun = true
	return w
}

// definitionDeleted deletes the definition, with all policies, under load, and brings both back.
func (s *setup) definitionDeleted(t *testing.T) {
	before := s.runs()
	stop := s.load(t, 20)
	_, err := s.Kubectl.Run(t.Context(), nil, "delete", "crd", definition)
	check(t, err)
	lost := time.Now()
	took := eventually(t, recovery, func() error {
		for _, r := range s.Replicas() {
			m, err := r.Metrics(t.Context())
			if err != nil {
				return err
			}
			if m.Sum("node_restriction_plus_policy_source_lost") != 1 {
				return fmt.Errorf("%s does not say that its source is lost", r.Pod)
			}
		}
		return nil
	})
	t.Logf("every replica says %s later that its source is lost", took.Round(100*time.Millisecond))
	wait(t, 10*time.Second) // of denials on the strength of memory
	answers := stop()
	t.Logf("%s; %d failed", summary(answers), len(failed(answers)))
	if n := len(failed(answers)); n > 0 {
		t.Errorf("%d writes failed: %s", n, failed(answers)[0])
	}
	s.checkUntouched(t, before)
	if len(s.recordsAfter(t, lost)) == 0 {
		t.Error("nothing was denied while the definition was gone")
	}

	root, err := project.Root()
	check(t, err)
	crd, err := os.ReadFile(filepath.Join(root, crdFile))
	check(t, err)
	check(t, s.Kubectl.Apply(t.Context(), crd))
	s.reinstall(t, current)
}

// reinstall upgrades the release, which brings back what is missing of it.
func (s *setup) reinstall(t *testing.T, tag string) {
	t.Helper()
	eventually(t, recovery, func() error { return s.Install(t.Context(), tag, s.values...) })
}

// rightsRemoved deletes the binding of the product's role, changes a policy, and gives the rights back.
func (s *setup) rightsRemoved(t *testing.T) {
	before := s.runs()
	bindings := s.Admin.RbacV1().ClusterRoleBindings()
	binding, err := bindings.Get(t.Context(), cluster.Name, metav1.GetOptions{})
	check(t, err)
	check(t, bindings.Delete(t.Context(), cluster.Name, metav1.DeleteOptions{}))
	// Watches that are open go on until the API server ends them: it is restarted.
	s.ControlPlane.APIServer.Stop()
	check(t, s.ControlPlane.APIServer.Run(t.Context()))
	stop := s.load(t, 20)
	check(t, s.Policies.Create(t.Context(), denyTouches("unseen", true)))
	wait(t, 15*time.Second) // three readiness probes
	answers := stop()
	t.Logf("without rights: %s", summary(answers))
	for _, a := range failed(answers) {
		t.Errorf("a write failed: %s", a)
	}
	if a := s.write(t, touches()); a.Outcome != cluster.Allowed {
		t.Errorf("a policy that nobody can read is in force: %s", a)
	}
	s.checkUntouched(t, before)

	binding.ResourceVersion, binding.UID = "", ""
	_, err = bindings.Create(t.Context(), binding, metav1.CreateOptions{})
	check(t, err)
	back := time.Now()
	check(t, awaitPolicy(t.Context(), s.Policies, "unseen", metav1.ConditionTrue))
	took := time.Since(back)
	t.Logf("the policy is in force %s after the rights are back", took.Round(100*time.Millisecond))
	if took > time.Minute {
		t.Errorf("it took %s", took)
	}
	s.checkUntouched(t, before)
	check(t, product.Retire(t.Context(), s.Policies, "unseen"))
}

// awaitPolicy waits until the condition Ready of a policy, as it is stored, is so.
func awaitPolicy(ctx context.Context, c client.Client, name string, want metav1.ConditionStatus) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	for {
		p := &v1alpha1.NodeRestrictionPolicy{}
		err := c.Get(ctx, client.ObjectKey{Name: name}, p)
		if err == nil && p.Status != nil {
			ready := meta.FindStatusCondition(p.Status.Conditions, "Ready")
			if ready != nil && ready.Status == want && ready.ObservedGeneration == p.Generation {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s is not Ready=%s: %w, %+v", ctx.Err(), name, want, err, p.Status)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// brokenPolicy stores, while nobody validates it, a version of a policy that does not compile.
func (s *setup) brokenPolicy(t *testing.T) {
	const name = "broken"
	good := denyTouches(name, true)
	check(t, product.Enforce(t.Context(), s.Policies, good))
	s.awaitDenied(t, touches())

	s.CutNetwork(true) // so that the webhook for policies is not asked
	check(t, s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, good))
	good.Spec.Match.NodeSelector = &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Resembles"}},
	}
	err := s.Policies.Update(t.Context(), good)
	s.CutNetwork(false)
	check(t, err)
	check(t, awaitPolicy(t.Context(), s.Policies, name, metav1.ConditionFalse))
	stored := &v1alpha1.NodeRestrictionPolicy{}
	check(t, s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, stored))
	t.Logf("the policy says: %s", meta.FindStatusCondition(stored.Status.Conditions, "Ready").Message)
	for range 9 { // each replica is asked
		if a := s.write(t, touches()); a.Outcome != cluster.Denied {
			t.Fatalf("the last good version is not in force: %s", a)
		}
		if a := s.write(t, cluster.AddsFinalizer(stolenNode)); a.Outcome != cluster.Denied {
			t.Fatalf("another policy is not in force: %s", a)
		}
	}
	check(t, product.Retire(t.Context(), s.Policies, name))
}

// awaitDenied waits until every replica denies a write.
func (s *setup) awaitDenied(t *testing.T, w cluster.Write) time.Duration {
	t.Helper()
	return eventually(t, recovery, func() error {
		for range 9 {
			if a := s.write(t, w); a.Outcome != cluster.Denied {
				return errors.New(a.String())
			}
		}
		return nil
	})
}

// flips changes a policy every 2 s under load, which another policy denies all the time.
func (s *setup) flips(t *testing.T) {
	const rounds, every, propagation = 10, 2 * time.Second, 5 * time.Second
	stop := s.load(t, 50)
	deny := false
	for range rounds {
		deny = !deny
		changed := time.Now()
		check(t, product.Enforce(t.Context(), s.Policies, denyTouches("flip", deny)))
		if took := time.Since(changed); took > propagation {
			t.Errorf("a change is in force only after %s", took)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(time.Until(changed.Add(every))):
		}
	}
	answers := stop()
	t.Logf("%s", summary(answers))
	for _, a := range failed(answers) {
		t.Errorf("a write failed: %s", a)
	}
	check(t, product.Retire(t.Context(), s.Policies, "flip"))
}
