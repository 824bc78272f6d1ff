// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/project"
)

// restart restarts all replicas one after the other, as Kubernetes does, while kubelets write.
func (s *setup) restart(t *testing.T) { s.restartUnder(t, 50) }

func (s *setup) restartUnder(t *testing.T, perSecond int) {
	s.bePatient(t)
	stop := s.load(t, perSecond)
	began := time.Now()
	_, err := s.Kubectl.Run(t.Context(), nil, "rollout", "restart", "deployment/"+cluster.Name, "--namespace="+cluster.Namespace)
	check(t, err)
	s.awaitGeneration(t)
	check(t, s.AwaitRollout(t.Context()))
	s.checkNoneFailed(t, began, stop())
}

// bePatient gives the product more time to answer, until the end of the test: what fails then fails because nobody
// answers, and not because the machine has more to do than it can.
func (s *setup) bePatient(t *testing.T) {
	t.Helper()
	configurations := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	set := func(ctx context.Context, timeouts map[string]int32) map[string]int32 {
		before := map[string]int32{}
		c, err := configurations.Get(ctx, cluster.Name, metav1.GetOptions{})
		check(t, err)
		for i := range c.Webhooks {
			w := &c.Webhooks[i]
			before[w.Name] = *w.TimeoutSeconds
			w.TimeoutSeconds = new(int32(10))
			if seconds, found := timeouts[w.Name]; found {
				w.TimeoutSeconds = &seconds
			}
		}
		_, err = configurations.Update(ctx, c, metav1.UpdateOptions{})
		check(t, err)
		return before
	}
	before := set(t.Context(), nil)
	t.Cleanup(func() { set(context.WithoutCancel(t.Context()), before) })
}

// awaitGeneration waits until the Deployment is about to become what was asked for.
func (s *setup) awaitGeneration(t *testing.T) {
	t.Helper()
	eventually(t, recovery, func() error {
		d, err := s.Admin.AppsV1().Deployments(cluster.Namespace).Get(t.Context(), cluster.Name, metav1.GetOptions{})
		if err == nil && d.Status.ObservedGeneration != d.Generation {
			err = errors.New("the Deployment is not observed")
		}
		return err
	})
}

func (s *setup) checkNoneFailed(t *testing.T, began time.Time, answers []cluster.Answer) {
	t.Helper()
	t.Logf("in %s, %s", time.Since(began).Round(time.Second), summary(answers))
	for _, a := range failed(answers) {
		t.Errorf("a write failed %s after the begin: %s", a.Sent.Sub(began).Round(time.Millisecond), a)
	}
}

// upgrade goes to another version and back, under load.
func (s *setup) upgrade(t *testing.T) {
	s.AddImage(next, s.buildOther(t))
	versions := func() map[string]bool {
		records, err := s.Records()
		check(t, err)
		seen := map[string]bool{}
		for _, r := range records {
			if r.Version != "" {
				seen[r.Version] = true
			}
		}
		return seen
	}
	before := versions()
	stop := s.load(t, 50)
	began := time.Now()
	check(t, s.Install(t.Context(), next, s.values...))
	s.awaitGeneration(t)
	check(t, s.AwaitRollout(t.Context()))
	for _, r := range s.Replicas() {
		if r.Version != next {
			t.Errorf("%s has version %s", r.Pod, r.Version)
		}
	}
	if after := versions(); len(after) != len(before)+1 {
		t.Errorf("records have the versions %v, and before the upgrade %v", after, before)
	}
	_, err := s.Helm(t.Context(), "rollback", cluster.Release)
	check(t, err)
	s.awaitGeneration(t)
	check(t, s.AwaitRollout(t.Context()))
	for _, r := range s.Replicas() {
		if r.Version != current {
			t.Errorf("%s has version %s", r.Pod, r.Version)
		}
	}
	s.checkNoneFailed(t, began, stop())
}

// uninstall uninstalls the chart while nothing of it answers, and installs it again.
func (s *setup) uninstall(t *testing.T) {
	s.powerOff()
	_, err := s.Helm(t.Context(), "uninstall", cluster.Release)
	check(t, err)
	took := eventually(t, recovery, func() error {
		a := s.attacker.Do(t.Context(), ownAnnotation(stolenNode))
		if a.Outcome != cluster.Allowed {
			return errors.New(a.String())
		}
		return nil
	})
	t.Logf("everything passes %s after helm has ended", took.Round(time.Millisecond))
	eventually(t, recovery, func() error {
		a := s.attacker.Do(t.Context(), cluster.Registers(stolenNode, map[string]string{deniedLabel: ""}))
		if a.Outcome != cluster.Exists {
			return fmt.Errorf("the floor is left: %s", a)
		}
		return nil
	})
	if _, err := s.Kubectl.Run(t.Context(), nil, "get", "crd", definition); err != nil {
		t.Errorf("the definition of policies is not kept: %v", err)
	}
	s.awaitNoReplicas(t)
	s.powerOn()
	s.reinstall(t, current)
}

// awaitNoReplicas waits until the pods are gone. Their nodes are off, so an administrator helps, as one has to.
func (s *setup) awaitNoReplicas(t *testing.T) {
	t.Helper()
	pods := s.Admin.CoreV1().Pods(cluster.Namespace)
	eventually(t, recovery, func() error {
		list, err := pods.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			err := pods.Delete(t.Context(), list.Items[i].Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
			if client.IgnoreNotFound(err) != nil {
				return err
			}
		}
		if len(list.Items) > 0 {
			return fmt.Errorf("%d pods are left", len(list.Items))
		}
		return nil
	})
}

// wrongOrder deletes the Deployment, and leaves the webhooks.
func (s *setup) wrongOrder(t *testing.T) {
	check(t, s.Admin.AppsV1().Deployments(cluster.Namespace).Delete(t.Context(), cluster.Name, metav1.DeleteOptions{
		PropagationPolicy: new(metav1.DeletePropagationForeground),
	}))
	eventually(t, recovery, func() error {
		pods, err := s.Admin.CoreV1().Pods(cluster.Namespace).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%d pods are left", len(pods.Items))
		}
		return err
	})
	s.testWritesDuringOutage(t)
	check(t, s.kubelet.Restart())
	check(t, s.kubelet.AwaitReady(within(t, recovery), s.Admin, time.Now()))
	_, err := s.Kubectl.Run(t.Context(), nil, "delete", "validatingwebhookconfiguration", cluster.Name)
	check(t, err)
	took := eventually(t, recovery, func() error {
		a := s.attacker.Do(t.Context(), ownAnnotation(stolenNode))
		if a.Outcome != cluster.Allowed {
			return errors.New(a.String())
		}
		return nil
	})
	t.Logf("everything passes %s after the configuration is deleted", took.Round(time.Millisecond))
	s.reinstall(t, current)
}

// nodeDeleted deletes the Node of a running kubelet.
func (s *setup) nodeDeleted(t *testing.T) {
	nodes := s.Admin.CoreV1().Nodes()
	before, err := nodes.Get(t.Context(), kubeletNode, metav1.GetOptions{})
	check(t, err)
	check(t, nodes.Delete(t.Context(), kubeletNode, metav1.DeleteOptions{}))
	_, err = nodes.Get(t.Context(), kubeletNode, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the Node is still there: %v", err)
	}
	check(t, s.kubelet.Restart())
	check(t, s.kubelet.AwaitReady(within(t, recovery), s.Admin, time.Now()))
	after, err := nodes.Get(t.Context(), kubeletNode, metav1.GetOptions{})
	check(t, err)
	if after.UID == before.UID {
		t.Error("the Node is still the old one")
	}
}

// buildOther builds the product so that it has another version: with or without what version control says of it.
func (s *setup) buildOther(t *testing.T) string {
	t.Helper()
	root, err := project.Root()
	check(t, err)
	version := func(binary string) string {
		out, err := exec.CommandContext(t.Context(), binary, "version").Output()
		check(t, err)
		return string(out)
	}
	path := filepath.Join(s.dir, next)
	for _, vcs := range []string{"auto", "false"} {
		build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs="+vcs, "-ldflags", "-s -w", "-o", path, ".")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if version(path) != version(s.binary) {
			return path
		}
	}
	t.Fatal("there is no version control, so that there are no two versions")
	return ""
}
