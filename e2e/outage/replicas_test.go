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

	"noderestriction.plus/e2e/cluster"
)

// powerOff ends all nodes that run the product.
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

// allDown has all nodes of the product lose their power, and shows that kubelets live on, and what is still refused.
func (s *setup) allDown(t *testing.T) {
	s.powerOff()
	t.Run("writes", s.testWritesDuringOutage)
	lost := time.Now()
	s.kubelet.Stop()
	s.awaitNode(t, kubeletNode, corev1.ConditionUnknown)
	check(t, s.kubelet.AddStaticPod("waits", staticPod("waits")))
	check(t, s.kubelet.Run())
	check(t, s.kubelet.AwaitReady(within(t, recovery), s.Admin, time.Now()))
	t.Logf("the kubelet restarted, its Node was Unknown and is Ready again, in %s", time.Since(lost).Round(time.Second))

	newcomer := s.startKubelet(t, "newcomer")
	check(t, newcomer.AwaitReady(within(t, recovery), s.Admin, time.Now()))
	newcomer.Stop()
	check(t, s.Admin.CoreV1().Nodes().Delete(t.Context(), newcomer.Node, metav1.DeleteOptions{}))
	s.runPod(t, "ordinary")
	s.awaitPod(t, "kube-system", "waits-"+kubeletNode, false)

	back := time.Now()
	s.powerOn()
	s.awaitPod(t, "kube-system", "waits-"+kubeletNode, true)
	t.Logf("the mirror pod is there %s after the power is back", time.Since(back).Round(time.Second))
	check(t, s.kubelet.RemoveStaticPod("waits"))
	s.awaitPod(t, "kube-system", "waits-"+kubeletNode, false)
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
	check(t, err)
	s.awaitPod(t, metav1.NamespaceDefault, name, true)
	check(t, pods.Delete(t.Context(), name, metav1.DeleteOptions{}))
	s.awaitPod(t, metav1.NamespaceDefault, name, false)
}

// awaitNode waits until the condition Ready of a Node is so.
func (s *setup) awaitNode(t *testing.T, name string, want corev1.ConditionStatus) {
	t.Helper()
	eventually(t, recovery, func() error {
		node, err := s.Admin.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == want {
				return nil
			}
		}
		return fmt.Errorf("the Node %s is not Ready=%s: %v", name, want, node.Status.Conditions)
	})
}

// cutOff cuts API servers off from replicas that run well.
func (s *setup) cutOff(t *testing.T) {
	s.CutNetwork(true)
	t.Run("writes", s.testWritesDuringOutage)
	restarted := time.Now()
	check(t, s.kubelet.Restart())
	check(t, s.kubelet.AwaitReady(within(t, recovery), s.Admin, restarted))
	t.Logf("the kubelet restarted in %s", time.Since(restarted).Round(time.Second))
	for _, r := range s.Replicas() {
		if !r.Ready() {
			t.Errorf("%s is not ready, though it runs", r.Pod)
		}
	}
	s.CutNetwork(false)
}

// killed kills one replica under load.
func (s *setup) killed(t *testing.T) {
	s.bePatient(t)
	stop := s.load(t, 50)
	wait(t, time.Second) // of load before
	victim := s.Replicas()[0]
	restarts := victim.Restarts()
	killed := time.Now()
	check(t, victim.Signal(syscall.SIGKILL))
	eventually(t, recovery, func() error {
		if victim.Restarts() == restarts || !victim.Ready() {
			return fmt.Errorf("%s has not recovered", victim.Pod)
		}
		return nil
	})
	recovered := time.Since(killed)
	t.Logf("%s is ready again after %s", victim.Pod, recovered.Round(100*time.Millisecond))
	answers := stop()
	t.Logf("%s; %d failed, the last one %s after the kill", summary(answers), len(failed(answers)),
		lastFailure(answers, killed).Round(time.Millisecond))
	if last := lastFailure(answers, killed); last > recovered {
		t.Errorf("a write failed %s after the replica was killed, when it was ready again", last)
	}
}

// lastFailure is how long after a moment the last write was sent that failed.
func lastFailure(answers []cluster.Answer, since time.Time) time.Duration {
	last := time.Duration(0)
	for _, a := range failed(answers) {
		last = max(last, a.Sent.Sub(since))
	}
	return last
}

// hangs stops one replica, which goes on accepting connections.
func (s *setup) hangs(t *testing.T) {
	victim := s.Replicas()[0]
	restarts := victim.Restarts()
	stop := s.load(t, 30)
	hung := time.Now()
	check(t, victim.Signal(syscall.SIGSTOP))
	eventually(t, recovery, func() error {
		if victim.Ready() {
			return fmt.Errorf("%s still counts as ready", victim.Pod)
		}
		return nil
	})
	unready := time.Since(hung)
	eventually(t, recovery, func() error {
		if victim.Restarts() == restarts || !victim.Ready() {
			return fmt.Errorf("%s has not recovered", victim.Pod)
		}
		return nil
	})
	answers := stop()
	t.Logf("out after %s, back after %s; %s; %d failed, the last one sent %s after it hung", unready.Round(time.Second),
		time.Since(hung).Round(time.Second), summary(answers), len(failed(answers)),
		lastFailure(answers, hung).Round(time.Millisecond))
	if last := lastFailure(answers, hung); last > unready+3*time.Second {
		t.Errorf("a write failed %s after the replica hung, and was out after %s", last, unready)
	}
	for _, a := range failed(answers) {
		if a.Took > 8*time.Second {
			t.Errorf("a write waited for %s: %s", a.Took, a)
		}
	}
}

// crowd stops all replicas while very many nodes write, and shows that their leases are renewed.
func (s *setup) crowd(t *testing.T) {
	const nodes, lasts = 600, 20 * time.Second
	replicas := s.Replicas()
	for _, r := range replicas {
		check(t, r.Signal(syscall.SIGSTOP))
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var mu sync.Mutex
	var leases, writes []cluster.Answer
	var group sync.WaitGroup
	for i := range nodes {
		writer, err := cluster.NewWriter(s.ControlPlane.APIServer, fmt.Sprintf("crowd-%d", i))
		check(t, err)
		node := fmt.Sprintf("crowd-%d", i)
		group.Go(func() {
			lease, registers := cluster.CreatesLease(node), cluster.Registers(node, nil)
			writer.Do(t.Context(), registers)
			writer.Do(t.Context(), lease)
			for ctx.Err() == nil {
				l := writer.Do(t.Context(), cluster.RenewsLease(node, time.Now()))
				w := writer.Do(t.Context(), cluster.AddsFinalizer(node))
				mu.Lock()
				leases, writes = append(leases, l), append(writes, w)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for _, r := range replicas {
		_ = r.Signal(syscall.SIGCONT) // it may have been killed for it
	}
	t.Logf("leases: %s", summary(leases))
	t.Logf("writes: %s", summary(writes))
	for _, a := range leases {
		if a.Outcome != cluster.Allowed || a.Took > leaseTimeout {
			t.Errorf("a lease was not renewed in time: %s", a)
		}
	}
	if slices.ContainsFunc(writes, func(a cluster.Answer) bool { return a.Outcome == cluster.Allowed }) {
		t.Error("a write was allowed that a policy denies")
	}
	s.deleteNodes(t, "crowd-", nodes)
}

// leaseTimeout is when a kubelet gives up renewing its lease, to try again.
const leaseTimeout = 10 * time.Second

func (s *setup) deleteNodes(t *testing.T, prefix string, count int) {
	t.Helper()
	for i := range count {
		check(t, s.Admin.CoreV1().Nodes().Delete(t.Context(), fmt.Sprint(prefix, i), metav1.DeleteOptions{}))
	}
}
