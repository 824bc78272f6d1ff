// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/suite"
)

// powerOff stops all nodes that run the product.
func (s *setup) powerOff() {
	for _, n := range s.Nodes {
		n.PowerOff()
	}
}

func (s *setup) powerOn() {
	for _, n := range s.Nodes {
		n.PowerOn()
	}
}

// allDown powers off all nodes of the product, and shows that kubelets keep working and what is still refused.
func (s *setup) allDown(t *testing.T) {
	s.powerOff()
	t.Run("writes", s.testWritesDuringOutage)
	lost := time.Now()
	s.kubelet.Stop()
	s.AwaitNodeCondition(t, recovery, kubeletNode, corev1.NodeReady, corev1.ConditionUnknown)
	suite.Check(t, s.kubelet.AddStaticPod("waits", kubelet.StaticPod("waits")))
	suite.Check(t, s.kubelet.Run())
	suite.Check(t, s.kubelet.AwaitReady(suite.Within(t, recovery), s.Admin, time.Now()))
	t.Logf("the kubelet restarted, its Node was Unknown and is Ready again, in %s", time.Since(lost).Round(time.Second))

	newcomer := s.MustStartKubelet(t, kubelet.Options{Node: "newcomer"})
	suite.Check(t, newcomer.AwaitReady(suite.Within(t, recovery), s.Admin, time.Now()))
	newcomer.Stop()
	suite.Check(t, s.Admin.CoreV1().Nodes().Delete(t.Context(), newcomer.Node, metav1.DeleteOptions{}))
	s.runPod(t, "ordinary")
	s.AwaitPod(t, recovery, "kube-system", "waits-"+kubeletNode, suite.Gone)

	back := time.Now()
	s.powerOn()
	s.AwaitPod(t, recovery, "kube-system", "waits-"+kubeletNode, suite.Running)
	t.Logf("the mirror pod exists %s after the power is back", time.Since(back).Round(time.Second))
	suite.Check(t, s.kubelet.RemoveStaticPod("waits"))
	s.AwaitPod(t, recovery, "kube-system", "waits-"+kubeletNode, suite.Gone)
}

// agentsFirst powers off all nodes of the product. Each is back only once the agent of k3s has written its Node, as k3s starts the
// network of pods only then.
func (s *setup) agentsFirst(t *testing.T) {
	suite.Check(t, s.Install(t.Context(), current, append(slices.Clone(s.values), "policies.distribution=k3s")...))
	s.awaitGeneration(t)
	suite.Check(t, s.AwaitRollout(t.Context()))
	s.powerOff()
	for i, n := range s.Nodes {
		agent := suite.Kubelet(t, s.ControlPlane.APIServer, n.Name)
		address := fmt.Sprintf("10.0.0.%d", i+1)
		agent.MustSend(t, suite.AnnotateAsK3s(t, s.GetNode(t, n.Name), address))
		n.PowerOn()
	}
	s.awaitRecovered(t)
	suite.Check(t, s.Install(t.Context(), current, s.values...))
	s.awaitGeneration(t)
}

// runPod runs a pod on the node of the kubelet, and deletes it.
func (s *setup) runPod(t *testing.T, name string) {
	t.Helper()
	pods := s.Admin.CoreV1().Pods(metav1.NamespaceDefault)
	_, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName: kubeletNode, TerminationGracePeriodSeconds: new(int64(1)),
			Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/c:stays"}},
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	s.AwaitPod(t, recovery, metav1.NamespaceDefault, name, suite.Running)
	suite.Check(t, pods.Delete(t.Context(), name, metav1.DeleteOptions{}))
	s.AwaitPod(t, recovery, metav1.NamespaceDefault, name, suite.Gone)
}

// cutOff cuts API servers off from replicas that keep running.
func (s *setup) cutOff(t *testing.T) {
	s.CutNetwork(true)
	t.Run("writes", s.testWritesDuringOutage)
	restarted := time.Now()
	suite.Check(t, s.kubelet.Restart())
	suite.Check(t, s.kubelet.AwaitReady(suite.Within(t, recovery), s.Admin, restarted))
	t.Logf("the kubelet restarted in %s", time.Since(restarted).Round(time.Second))
	for _, r := range s.Replicas() {
		if !r.Ready() {
			t.Errorf("%s runs but is not ready", r.Pod)
		}
	}
	s.CutNetwork(false)
}

// killed kills one replica under load.
func (s *setup) killed(t *testing.T) {
	s.raiseTimeouts(t)
	stop := s.load(t, 50)
	suite.Sleep(t.Context(), time.Second) // of load before
	victim := s.Replicas()[0]
	restarts := victim.Restarts()
	killed := time.Now()
	suite.Check(t, victim.Signal(syscall.SIGKILL))
	suite.Eventually(t, recovery, func() error {
		if victim.Restarts() == restarts || !victim.Ready() {
			return fmt.Errorf("%s has not recovered", victim.Pod)
		}
		return nil
	})
	recovered := time.Since(killed)
	t.Logf("%s is ready again after %s", victim.Pod, recovered.Round(100*time.Millisecond))
	answers := stop()
	t.Logf("%s; %d failed, the last one %s after the replica was killed", suite.Summary(answers), len(failed(answers)),
		lastFailure(answers, killed).Round(time.Millisecond))
	if last := lastFailure(answers, killed); last > recovered {
		t.Errorf("a write failed %s after the replica was killed, although it was ready again", last)
	}
}

// lastFailure returns how long after a moment the last failed write was sent.
func lastFailure(answers []suite.Answer, since time.Time) time.Duration {
	last := time.Duration(0)
	for _, a := range failed(answers) {
		last = max(last, a.Sent.Sub(since))
	}
	return last
}

// hangs stops one replica, which still accepts connections.
func (s *setup) hangs(t *testing.T) {
	victim := s.Replicas()[0]
	restarts := victim.Restarts()
	stop := s.load(t, 30)
	hung := time.Now()
	suite.Check(t, victim.Signal(syscall.SIGSTOP))
	suite.Eventually(t, recovery, func() error {
		if victim.Ready() {
			return fmt.Errorf("%s is still ready", victim.Pod)
		}
		return nil
	})
	unready := time.Since(hung)
	suite.Eventually(t, recovery, func() error {
		if victim.Restarts() == restarts || !victim.Ready() {
			return fmt.Errorf("%s has not recovered", victim.Pod)
		}
		return nil
	})
	answers := stop()
	t.Logf("unready after %s, ready again after %s; %s; %d failed, the last one sent %s after it hung", unready.Round(time.Second),
		time.Since(hung).Round(time.Second), suite.Summary(answers), len(failed(answers)),
		lastFailure(answers, hung).Round(time.Millisecond))
	if last := lastFailure(answers, hung); last > unready+3*time.Second {
		t.Errorf("a write failed %s after the replica hung, although it was unready after %s", last, unready)
	}
	for _, a := range failed(answers) {
		if a.Took > 8*time.Second {
			t.Errorf("a write waited for %s: %s", a.Took, a)
		}
	}
}

// crowd stops all replicas while many nodes write, and shows that their leases are renewed.
func (s *setup) crowd(t *testing.T) {
	const nodes, lasts = 600, 20 * time.Second
	replicas := s.Replicas()
	for _, r := range replicas {
		suite.Check(t, r.Signal(syscall.SIGSTOP))
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var mu sync.Mutex
	var leases, writes []suite.Answer
	var group sync.WaitGroup
	for i := range nodes {
		writer, err := suite.NewKubelet(s.ControlPlane.APIServer, fmt.Sprintf("crowd-%d", i))
		suite.Check(t, err)
		node := fmt.Sprintf("crowd-%d", i)
		group.Go(func() {
			lease, registers := suite.CreateLease(node), suite.RegisterNode(node, nil)
			writer.Do(t.Context(), registers)
			writer.Do(t.Context(), lease)
			for ctx.Err() == nil {
				l := writer.Do(t.Context(), suite.RenewLease(node, time.Now()))
				w := writer.Do(t.Context(), suite.AddFinalizer(node))
				mu.Lock()
				leases, writes = append(leases, l), append(writes, w)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for _, r := range replicas {
		_ = r.Signal(syscall.SIGCONT) // it may have been killed
	}
	t.Logf("leases: %s", suite.Summary(leases))
	t.Logf("writes: %s", suite.Summary(writes))
	for _, a := range leases {
		if a.Outcome != suite.Allowed || a.Took > leaseTimeout {
			t.Errorf("a lease was not renewed in time: %s", a)
		}
	}
	if slices.ContainsFunc(writes, func(a suite.Answer) bool { return a.Outcome == suite.Allowed }) {
		t.Error("a write was allowed that a policy denies")
	}
	s.deleteNodes(t, "crowd-", nodes)
}

// leaseTimeout is when a kubelet gives up renewing its lease, and retries.
const leaseTimeout = 10 * time.Second

func (s *setup) deleteNodes(t *testing.T, prefix string, count int) {
	t.Helper()
	for i := range count {
		suite.Check(t, s.Admin.CoreV1().Nodes().Delete(t.Context(), fmt.Sprint(prefix, i), metav1.DeleteOptions{}))
	}
}
