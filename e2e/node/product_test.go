// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/e2e/node"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/sandbox"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
)

// victim is the node whose credential the attacker has.
const victim = "node-1"

// productSetup is a cluster in which the chart runs the product, with an attacker and a collector of logs.
type productSetup struct {
	*setup
	attacker  *suite.Client
	collector *collector
	denied    int // answers to the attacker that a replica denied
	failed    int // answers while no replica could be asked; each may have a record
}

// TestProductInPods installs the chart with the product's image. Its pods are restarted, drained and killed while an attacker is denied:
// no record is missing.
func TestProductInPods(t *testing.T) {
	s := &productSetup{setup: newSetup(t, victim, "node-2")}
	began := time.Now()
	s.collector = s.collect(t, filepath.Join(sandbox.Dir(), "collected"))
	s.install(t, "policies.recommended=Deny", "replicas=2")
	t.Logf("helm install --wait took %s", time.Since(began).Round(100*time.Millisecond))
	s.attacker = suite.Kubelet(t, s.ControlPlane.APIServer, victim)
	s.awaitDenied(t)
	t.Run("the container has only what the chart gives it", s.testConfinement)
	t.Run("helm test passes", s.testHelm)
	t.Run("a denial is in the log of the container", s.testRecord)
	t.Run("the kubelet rotates logs", s.testRotation)
	t.Run("a rollout loses no record", s.testRollout)
	t.Run("a drain loses no record", s.testDrain)
	t.Run("a killed process loses no record", s.testKill)
	s.checkRecords(t)
	t.Run("the profile controlPlane runs in the host network", s.testHostNetwork)
	s.checkRecords(t)
}

// attack sends a write that every policy denies.
func (s *productSetup) attack(t *testing.T) suite.Answer {
	t.Helper()
	a := s.attacker.Do(t.Context(), suite.AddFinalizer(victim))
	s.count(a)
	return a
}

func (s *productSetup) count(a suite.Answer) {
	switch a.Outcome {
	case suite.Denied:
		s.denied++
	case suite.Unanswered:
		s.failed++
	}
}

// awaitDenied waits until every replica is called and denies.
func (s *productSetup) awaitDenied(t *testing.T) {
	t.Helper()
	denied := 0
	suite.Eventually(t, patience, func() error {
		for denied < 6 {
			if a := s.attack(t); a.Outcome != suite.Denied {
				denied = 0
				return fmt.Errorf("not every write is denied: %s", a)
			}
			denied++
		}
		return nil
	})
}

// nodeOf is the node on which a pod runs.
func (s *setup) nodeOf(t *testing.T, pod *corev1.Pod) *node.Node {
	t.Helper()
	for _, n := range s.nodes {
		if n.Name == pod.Spec.NodeName {
			return n
		}
	}
	t.Fatalf("pod %s is on node %q", pod.Name, pod.Spec.NodeName)
	return nil
}

// testConfinement reads from the kernel what the process of each replica may do.
func (s *productSetup) testConfinement(t *testing.T) {
	pods := s.pods(t)
	if len(pods) != 2 || pods[0].Spec.NodeName == pods[1].Spec.NodeName {
		t.Fatalf("got %d pods, want one on each node", len(pods))
	}
	for i := range pods {
		status := pods[i].Status.ContainerStatuses[0]
		pids, err := s.nodeOf(t, &pods[i]).Processes(status.ContainerID)
		suite.Check(t, err)
		if len(pids) != 1 {
			t.Fatalf("the container has the processes %v, want one", pids)
		}
		proc := filepath.Join("/proc", fmt.Sprint(pids[0]))
		fields, err := os.ReadFile(filepath.Join(proc, "status"))
		suite.Check(t, err)
		for _, want := range []string{
			"Uid:\t65532\t65532\t65532\t65532\n", "Gid:\t65532\t65532\t65532\t65532\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n",
			"CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapAmb:\t0000000000000000\n",
		} {
			if !strings.Contains(string(fields), want) {
				t.Errorf("/proc/self/status has no line %q:\n%s", want, fields)
			}
		}
		mounts, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
		suite.Check(t, err)
		for line := range strings.Lines(string(mounts)) {
			if f := strings.Fields(line); f[4] == "/" && !strings.HasPrefix(f[5], "ro") {
				t.Errorf("the root file system can be written: %s", line)
			}
		}
		err = os.WriteFile(filepath.Join(proc, "root", "written"), nil, 0o600)
		if err == nil || !strings.Contains(err.Error(), syscall.EROFS.Error()) {
			t.Errorf("writing to the root file system: %v, want %v", err, syscall.EROFS)
		}
	}
}

// testHelm runs the test of the chart, in a pod.
func (s *productSetup) testHelm(t *testing.T) {
	if out := s.helm(t, "test", release); !strings.Contains(out, "Phase:          Succeeded") {
		t.Errorf("helm test says\n%s", out)
	}
}

// testRecord compares the file that the kubelet keeps with what kubectl logs prints through the API server.
func (s *productSetup) testRecord(t *testing.T) {
	a := s.attack(t)
	if a.Outcome != suite.Denied {
		t.Fatal(a)
	}
	find := func(records []record.Record) error {
		for _, r := range records {
			if r.Node == victim && strings.Contains(a.Text, "finalizers") && len(r.Violations) > 0 {
				return nil
			}
		}
		return fmt.Errorf("no record of the denial among %d", len(records))
	}
	suite.Eventually(t, patience, func() error { return find(s.collector.records(t)) })
	logs, err := s.Kubectl.Run(t.Context(), nil, "--namespace="+namespace, "logs", "--selector=app.kubernetes.io/name="+product.Name,
		"--prefix", "--tail=-1")
	suite.Check(t, err)
	path := filepath.Join(t.TempDir(), "denials.log")
	suite.Check(t, os.WriteFile(path, []byte(logs), 0o600))
	s.verify(t, path)
}

// verify runs kubectl nrp denials --verify on files, and returns what it prints.
func (s *setup) verify(t *testing.T, paths ...string) string {
	t.Helper()
	args := append([]string{"denials", "--verify"}, paths...)
	out, err := exec.CommandContext(t.Context(), os.Getenv(pluginVariable), args...).CombinedOutput()
	if err != nil {
		t.Errorf("kubectl nrp denials --verify: %v\n%s", err, out)
	}
	return string(out)
}

// testRotation causes so many records that the kubelet rotates the logs, and verifies the files that it keeps.
func (s *productSetup) testRotation(t *testing.T) {
	var rotated []string
	suite.Eventually(t, patience, func() error {
		for range 50 {
			s.attack(t)
		}
		rotated = rotated[:0]
		for _, glob := range s.collector.globs {
			found, err := filepath.Glob(strings.TrimSuffix(glob, "*.log") + "*.log.*")
			if err != nil {
				return err
			}
			rotated = append(rotated, found...)
		}
		if len(rotated) == 0 {
			return fmt.Errorf("no log is rotated after %d denials", s.denied)
		}
		return nil
	})
	var kept []string
	for _, glob := range s.collector.globs {
		found, err := filepath.Glob(strings.TrimSuffix(glob, "*.log") + "*")
		suite.Check(t, err)
		kept = append(kept, found...)
	}
	t.Logf("%d files: %s", len(kept), s.verify(t, kept...))
}

// under attacks while something is done, and returns the answers that are not denials.
func (s *productSetup) under(t *testing.T, do func()) []suite.Answer {
	t.Helper()
	stop := make(chan struct{})
	var other []suite.Answer
	var group sync.WaitGroup
	group.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
			select {
			case <-stop:
				return
			default:
			}
			if a := s.attack(t); a.Outcome != suite.Denied {
				other = append(other, a)
			}
		}
	})
	do()
	close(stop)
	group.Wait()
	return other
}

func (s *productSetup) testRollout(t *testing.T) {
	before := s.denied
	other := s.under(t, func() {
		for _, args := range [][]string{
			{"rollout", "restart", "deployment/" + product.Name}, {"rollout", "status", "deployment/" + product.Name, "--timeout=3m"},
		} {
			_, err := s.Kubectl.Run(t.Context(), nil, append(args, "--namespace="+namespace)...)
			suite.Check(t, err)
		}
		s.awaitReplicas(t, 2)
	})
	for _, a := range other {
		t.Errorf("an attack during the rollout: %s", a)
	}
	t.Logf("%d attacks were denied during the rollout", s.denied-before)
}

// awaitReplicas waits until so many pods are ready and no other pod is left.
func (s *productSetup) awaitReplicas(t *testing.T, n int) {
	t.Helper()
	suite.Eventually(t, patience, func() error {
		list, err := s.Kubectl.Run(t.Context(), nil, "--namespace="+namespace, "get", "pods",
			"--selector=app.kubernetes.io/name="+product.Name, "--output=jsonpath={range .items[*]}{.status.containerStatuses[0].ready} {end}")
		if err != nil {
			return err
		}
		if want := strings.Repeat("true ", n); list != want {
			return fmt.Errorf("the pods are ready: %s, want %s", list, want)
		}
		return nil
	})
}

// testDrain drains a node, whose replica moves to the other one, and brings it back.
func (s *productSetup) testDrain(t *testing.T) {
	drained := s.nodes[1].Name
	other := s.under(t, func() {
		_, err := s.Kubectl.Run(t.Context(), nil, "drain", drained, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=3m")
		suite.Check(t, err)
	})
	for _, a := range other {
		t.Errorf("an attack during the drain: %s", a)
	}
	_, err := s.Kubectl.Run(t.Context(), nil, "uncordon", drained)
	suite.Check(t, err)
	s.awaitReplicas(t, 2)
}

// testKill kills the process of each replica in turn. The kubelet restarts it, and its file of records is another one.
func (s *productSetup) testKill(t *testing.T) {
	for _, pod := range s.pods(t) {
		n := s.nodeOf(t, &pod)
		pids, err := n.Processes(pod.Status.ContainerStatuses[0].ContainerID)
		suite.Check(t, err)
		other := s.under(t, func() {
			for _, pid := range pids {
				suite.Check(t, syscall.Kill(pid, syscall.SIGKILL))
			}
			s.AwaitPod(t, patience, namespace, pod.Name, func(p *corev1.Pod) bool {
				return p != nil && p.Status.ContainerStatuses[0].RestartCount == 1 && p.Status.ContainerStatuses[0].Ready
			})
		})
		for _, a := range other {
			if a.Outcome != suite.Unanswered {
				t.Errorf("an attack while a replica is down: %s", a)
			}
		}
		t.Logf("%s: %d attacks were refused without an answer of a replica", pod.Name, len(other))
	}
	s.awaitReplicas(t, 2)
}

// checkRecords checks that each denied attack has a record, and that no sequence of records has a gap.
func (s *productSetup) checkRecords(t *testing.T) {
	t.Helper()
	var n int
	suite.Eventually(t, patience, func() error {
		n = 0
		for _, r := range s.collector.records(t) {
			if r.Node == victim {
				n++
			}
		}
		if n < s.denied {
			return fmt.Errorf("%d attacks were denied, but %d records were collected", s.denied, n)
		}
		return nil
	})
	if n > s.denied+s.failed {
		t.Errorf("%d records, but only %d attacks were denied and %d not answered", n, s.denied, s.failed)
	}
	t.Logf("%d attacks denied, %d refused without an answer, %d records: %s", s.denied, s.failed, n, s.verify(t, s.collector.paths(t)...))
}

// testHostNetwork replaces the pods by one in the network of its node, which the API server calls over loopback, and restarts it.
func (s *productSetup) testHostNetwork(t *testing.T) {
	const label = "node-role.kubernetes.io/control-plane="
	_, err := s.Kubectl.Run(t.Context(), nil, "label", "node", s.nodes[1].Name, label)
	suite.Check(t, err)
	s.install(t, "policies.recommended=Deny", "profile=controlPlane")
	s.awaitDenied(t)
	s.testHelm(t)
	pods := s.pods(t)
	if len(pods) != 1 || !pods[0].Spec.HostNetwork || pods[0].Status.PodIP != s.nodes[1].Address {
		t.Fatalf("got %d pods, want one in the network of its node: %s", len(pods), s.describe(t))
	}
	other := s.under(t, func() {
		for _, args := range [][]string{
			{"rollout", "restart", "daemonset/" + product.Name}, {"rollout", "status", "daemonset/" + product.Name, "--timeout=3m"},
		} {
			_, err := s.Kubectl.Run(t.Context(), nil, append(args, "--namespace="+namespace)...)
			suite.Check(t, err)
		}
	})
	for _, a := range other {
		if a.Outcome != suite.Unanswered {
			t.Errorf("an attack while the only replica restarts: %s", a)
		}
	}
	t.Logf("%d attacks were refused while no replica ran", len(other))
	s.awaitDenied(t)
}
