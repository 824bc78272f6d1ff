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
	"noderestriction.plus/e2e/suite"
)

// restart restarts all replicas one after the other, as a rollout does, while kubelets write.
func (s *setup) restart(t *testing.T) { s.restartUnder(t, 50) }

func (s *setup) restartUnder(t *testing.T, perSecond int) {
	s.raiseTimeouts(t)
	stop := s.load(t, perSecond)
	began := time.Now()
	_, err := s.Kubectl.Run(t.Context(), nil, "rollout", "restart", "deployment/"+cluster.Name, "--namespace="+cluster.Namespace)
	suite.Check(t, err)
	s.awaitGeneration(t)
	suite.Check(t, s.AwaitRollout(t.Context()))
	s.checkNoneFailed(t, began, stop())
}

// raiseTimeouts gives the product more time to answer until the end of the test: writes fail because nothing answers, not because
// the machine is too busy.
func (s *setup) raiseTimeouts(t *testing.T) {
	t.Helper()
	restore, err := s.RaiseTimeouts(t.Context(), 10)
	suite.Check(t, err)
	t.Cleanup(func() { suite.Check(t, restore(context.WithoutCancel(t.Context()))) })
}

// awaitGeneration waits until the controller has observed the current generation of the Deployment.
func (s *setup) awaitGeneration(t *testing.T) {
	t.Helper()
	suite.Eventually(t, recovery, func() error {
		d, err := s.Admin.AppsV1().Deployments(cluster.Namespace).Get(t.Context(), cluster.Name, metav1.GetOptions{})
		if err == nil && d.Status.ObservedGeneration != d.Generation {
			err = errors.New("the Deployment is not observed")
		}
		return err
	})
}

func (s *setup) checkNoneFailed(t *testing.T, began time.Time, answers []suite.Answer) {
	t.Helper()
	t.Logf("in %s, %s", time.Since(began).Round(time.Second), suite.Summary(answers))
	for _, a := range failed(answers) {
		t.Errorf("a write failed %s after the start: %s", a.Sent.Sub(began).Round(time.Millisecond), a)
	}
}

// upgrade upgrades to another version and rolls back, under load.
func (s *setup) upgrade(t *testing.T) {
	s.AddImage(next, s.buildOther(t))
	versions := func() map[string]bool {
		records, err := s.Records()
		suite.Check(t, err)
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
	suite.Check(t, s.Install(t.Context(), next, s.values...))
	s.awaitGeneration(t)
	suite.Check(t, s.AwaitRollout(t.Context()))
	for _, r := range s.Replicas() {
		if r.Version != next {
			t.Errorf("%s has version %s", r.Pod, r.Version)
		}
	}
	if after := versions(); len(after) != len(before)+1 {
		t.Errorf("the records have the versions %v, before the upgrade %v", after, before)
	}
	_, err := s.Helm(t.Context(), "rollback", cluster.Release)
	suite.Check(t, err)
	s.awaitGeneration(t)
	suite.Check(t, s.AwaitRollout(t.Context()))
	for _, r := range s.Replicas() {
		if r.Version != current {
			t.Errorf("%s has version %s", r.Pod, r.Version)
		}
	}
	s.checkNoneFailed(t, began, stop())
}

// uninstall uninstalls the chart while no replica answers, and installs it again.
func (s *setup) uninstall(t *testing.T) {
	s.powerOff()
	_, err := s.Helm(t.Context(), "uninstall", cluster.Release)
	suite.Check(t, err)
	took := s.awaitUnprotected(t)
	t.Logf("everything passes %s after helm has exited", took.Round(time.Millisecond))
	suite.Eventually(t, recovery, func() error {
		a := s.attacker.Do(t.Context(), suite.RegisterNode(stolenNode, map[string]string{deniedLabel: ""}))
		if a.Outcome != suite.Exists {
			return fmt.Errorf("the floor still exists: %s", a)
		}
		return nil
	})
	if _, err := s.Kubectl.Run(t.Context(), nil, "get", "crd", crdName); err != nil {
		t.Errorf("the CRD is not kept: %v", err)
	}
	s.awaitNoReplicas(t)
	s.powerOn()
	s.reinstall(t, current)
}

// awaitUnprotected waits until API servers no longer call the webhook, and returns how long that took.
func (s *setup) awaitUnprotected(t *testing.T) time.Duration {
	t.Helper()
	return suite.Eventually(t, recovery, func() error {
		if a := s.attacker.Do(t.Context(), suite.AnnotateOwnNode(stolenNode)); a.Outcome != suite.Allowed {
			return errors.New(a.String())
		}
		return nil
	})
}

// awaitNoReplicas waits until the pods are gone. Their nodes are off, so an administrator has to delete them.
func (s *setup) awaitNoReplicas(t *testing.T) {
	t.Helper()
	pods := s.Admin.CoreV1().Pods(cluster.Namespace)
	suite.Eventually(t, recovery, func() error {
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

// wrongOrder deletes the Deployment but not the webhooks.
func (s *setup) wrongOrder(t *testing.T) {
	suite.Check(t, s.Admin.AppsV1().Deployments(cluster.Namespace).Delete(t.Context(), cluster.Name, metav1.DeleteOptions{
		PropagationPolicy: new(metav1.DeletePropagationForeground),
	}))
	suite.Eventually(t, recovery, func() error {
		pods, err := s.Admin.CoreV1().Pods(cluster.Namespace).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%d pods are left", len(pods.Items))
		}
		return err
	})
	s.testWritesDuringOutage(t)
	suite.Check(t, s.kubelet.Restart())
	suite.Check(t, s.kubelet.AwaitReady(suite.Within(t, recovery), s.Admin, time.Now()))
	_, err := s.Kubectl.Run(t.Context(), nil, "delete", "validatingwebhookconfiguration", cluster.Name)
	suite.Check(t, err)
	took := s.awaitUnprotected(t)
	t.Logf("everything passes %s after the configuration is deleted", took.Round(time.Millisecond))
	s.reinstall(t, current)
}

// nodeDeleted deletes the Node of a running kubelet.
func (s *setup) nodeDeleted(t *testing.T) {
	nodes := s.Admin.CoreV1().Nodes()
	before, err := nodes.Get(t.Context(), kubeletNode, metav1.GetOptions{})
	suite.Check(t, err)
	suite.Check(t, nodes.Delete(t.Context(), kubeletNode, metav1.DeleteOptions{}))
	_, err = nodes.Get(t.Context(), kubeletNode, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the Node still exists: %v", err)
	}
	suite.Check(t, s.kubelet.Restart())
	suite.Check(t, s.kubelet.AwaitReady(suite.Within(t, recovery), s.Admin, time.Now()))
	after, err := nodes.Get(t.Context(), kubeletNode, metav1.GetOptions{})
	suite.Check(t, err)
	if after.UID == before.UID {
		t.Error("the Node was not replaced")
	}
}

// buildOther builds the product with another version: with or without version control information.
func (s *setup) buildOther(t *testing.T) string {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	version := func(binary string) string {
		out, err := exec.CommandContext(t.Context(), binary, "version").Output()
		suite.Check(t, err)
		return string(out)
	}
	path := filepath.Join(s.Dir, next)
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
	t.Fatal("without version control there are no two versions")
	return ""
}
