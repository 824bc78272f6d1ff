// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/metrics"
	"noderestriction.plus/e2e/node"
	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// life is a node whose kubelet lives under every rule, with Deny.
type life struct {
	*setup
	product *product.Product
	node    *node.Node
	plugins []*process.Process
}

// staticPod is the manifest of a static pod, with a container that has these arguments.
const staticPod = `apiVersion: v1
kind: Pod
metadata: {name: static, namespace: kube-system, labels: {tier: node}}
spec:
  priorityClassName: system-node-critical
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "registry.example.com/container:e2e", args: [%s]}]
`

// TestKubeletLife runs containers of every kind on a real node with plugins, and restarts, starves and reboots the node, while the policies
// recommended and strict deny, and one with rules that these do not have. None may find a violation.
func TestKubeletLife(t *testing.T) {
	s := &life{setup: newSetup(t)}
	s.product = s.MustInstall(t, product.Options{})
	s.enforceEverything(t)
	recorder := s.recordWrites(t)
	s.startNodes(t, []string{"node-of-life"}) // registers under the policies
	s.node = s.nodes[0]
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"containers of every kind", s.testPods},
		{"a pod is resized in place", s.testResize},
		{"an ephemeral container is added", s.testEphemeral},
		{"a CSI driver registers", s.testCSIDriver},
		{"a device plugin registers, and a pod uses its device", s.testDevicePlugin},
		{"a DRA driver registers, and a pod uses its device", s.testDRADriver},
		{"a static pod is added, changed and removed", s.testStatic},
		{"the kubelet is killed and started", s.testKubeletRestart},
		{"containerd stops and starts", s.testRuntimeDown},
		{"memory is short", s.testPressure},
		{"the node is drained", s.testDrainNode},
		{"the machine reboots", s.testReboot},
		{"the plugins end", s.testPluginsEnd},
		{"the Node is deleted and registers again", s.testRegisterAgain},
	} {
		began := time.Now()
		t.Run(step.name, step.run)
		s.checkNoRecords(t, step.name)
		t.Logf("%s: %s", step.name, time.Since(began).Round(100*time.Millisecond))
	}
	recorder.check(t)
}

// enforceEverything enforces the policies recommended and strict, and one with rules that these do not have, and makes API servers send
// the writes that these are about. Not among them are rules that read from the API server for each write, as those of Events do: they deny
// if a busy machine takes too long.
func (s *life) enforceEverything(t *testing.T) {
	t.Helper()
	others := &v1alpha1.NodeRestrictionPolicy{}
	others.Name = "others"
	others.Spec.ServiceAccountTokens = &v1alpha1.ServiceAccountTokens{}
	others.Spec.CSINodes = &v1alpha1.CSINodes{}
	others.Spec.ResourceSlices = &v1alpha1.ResourceSlices{}
	all := []*v1alpha1.NodeRestrictionPolicy{others}
	for _, name := range []string{"recommended", "strict"} {
		policies, err := suite.ShippedPolicies(name)
		suite.Check(t, err)
		all = append(all, policies...)
	}
	for _, p := range all {
		p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
		suite.Check(t, product.Enforce(t.Context(), s.Policies, p))
	}
	suite.Check(t, s.product.Configure(t.Context(), s.Kubectl, s.helmPath,
		"rules.serviceAccountTokens=true", "rules.csiNodes=true", "rules.resourceSlices=true"))
	nobody := suite.Kubelet(t, s.ControlPlane.APIServer, "nobody")
	suite.Eventually(t, patience, func() error {
		before, err := s.product.Metrics(t.Context())
		if err != nil {
			return err
		}
		csiNode := suite.Create("/apis/storage.k8s.io/v1/csinodes",
			`{"apiVersion":"storage.k8s.io/v1","kind":"CSINode","metadata":{"name":"nobody"},"spec":{"drivers":[]}}`)
		csiNode.DryRun = true
		nobody.Do(t.Context(), csiNode)
		after, err := s.product.Metrics(t.Context())
		if err == nil && evaluations(before) == evaluations(after) {
			err = errors.New("the webhook is not called for CSINodes yet")
		}
		return err
	})
}

// evaluations returns how many writes of CSINodes were evaluated.
func evaluations(m metrics.Metrics) float64 {
	return m.Sum("node_restriction_plus_evaluations_total", "resource", "csinodes.storage.k8s.io")
}

// checkNoRecords checks that no write of the kubelet violates a policy. Those by kubelets with other names are the setup's own.
func (s *life) checkNoRecords(t *testing.T, step string) {
	t.Helper()
	lines, err := s.product.Records.Since(0)
	suite.Check(t, err)
	for _, l := range lines {
		if l.Node == s.node.Name {
			t.Fatalf("%s: the kubelet violates a policy: %s", step, l.Text)
		}
	}
}

func (s *life) await(t *testing.T, pod string, condition func(*corev1.Pod) bool) {
	t.Helper()
	s.AwaitPod(t, patience, metav1.NamespaceDefault, pod, condition)
}

func isReady(p *corev1.Pod) bool {
	return p != nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// isEvicted reports whether a pod whose container runs until it is stopped has ended. Its phase may be Failed with the reason Evicted, or
// Succeeded, because the container exits with 0: which one depends on what the kubelet writes first.
func isEvicted(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed && p.Status.Reason == "Evicted" || p.Status.Phase == corev1.PodSucceeded
}

func (s *life) testPods(t *testing.T) {
	manifests, err := os.ReadFile(filepath.Join("testdata", "pods.yaml"))
	suite.Check(t, err)
	suite.Check(t, s.Kubectl.Apply(t.Context(), manifests))
	waiting := func(reason string) func(*corev1.Pod) bool {
		return func(p *corev1.Pod) bool {
			return slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
				return c.State.Waiting != nil && c.State.Waiting.Reason == reason
			})
		}
	}
	ended := func(phase corev1.PodPhase, reason string) func(*corev1.Pod) bool {
		return func(p *corev1.Pod) bool { return p.Status.Phase == phase && p.Status.Reason == reason }
	}
	for pod, condition := range map[string]func(*corev1.Pod) bool{
		"probes": isReady, "host-network": isReady, "best-effort": isReady, "resized": isReady,
		"completes": ended(corev1.PodSucceeded, ""), "fails": ended(corev1.PodFailed, "DeadlineExceeded"),
		"crashes": waiting("CrashLoopBackOff"), "no-image": waiting("ImagePullBackOff"), "no-config": waiting("CreateContainerConfigError"),
		"out-of-disk": isEvicted,
		"no-program": func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].RestartCount > 0
		},
		"unhealthy": func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].RestartCount > 1
		},
		"out-of-memory": func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Terminated != nil &&
				p.Status.ContainerStatuses[0].State.Terminated.Reason == "OOMKilled"
		},
	} {
		s.await(t, pod, condition)
	}
}

func (s *life) testResize(t *testing.T) {
	const patch = `{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"30m"},"limits":{"cpu":"300m"}}}]}}`
	_, err := s.Kubectl.Run(t.Context(), nil, "patch", "pod", "resized", "--subresource=resize", "--patch="+patch)
	suite.Check(t, err)
	s.await(t, "resized", func(p *corev1.Pod) bool {
		r := p.Status.ContainerStatuses[0].Resources
		return r != nil && r.Limits.Cpu().MilliValue() == 300 && p.Status.ContainerStatuses[0].RestartCount == 0
	})
}

func (s *life) testEphemeral(t *testing.T) {
	_, err := s.Kubectl.Run(t.Context(), nil, "debug", "probes", "--image="+containerImage, "--container=debug", "--profile=restricted", "--",
		"/container", "--after=1s")
	suite.Check(t, err)
	s.await(t, "probes", func(p *corev1.Pod) bool {
		return len(p.Status.EphemeralContainerStatuses) == 1 && p.Status.EphemeralContainerStatuses[0].State.Terminated != nil
	})
}

func (s *life) testStatic(t *testing.T) {
	mirror := "static-" + s.node.Name
	running := func(args string) func(*corev1.Pod) bool {
		return func(p *corev1.Pod) bool {
			return suite.Running(p) && strings.Join(p.Spec.Containers[0].Args, " ") == args && p.DeletionTimestamp == nil
		}
	}
	suite.Check(t, s.node.AddStaticPod("static", fmt.Sprintf(staticPod, "--listen=:8081")))
	s.AwaitPod(t, patience, metav1.NamespaceSystem, mirror, running("--listen=:8081"))
	suite.Check(t, s.node.AddStaticPod("static", fmt.Sprintf(staticPod, "--listen=:8082")))
	s.AwaitPod(t, patience, metav1.NamespaceSystem, mirror, running("--listen=:8082"))
	pods := s.Admin.CoreV1().Pods(metav1.NamespaceSystem)
	pod, err := pods.Get(t.Context(), mirror, metav1.GetOptions{})
	suite.Check(t, err)
	suite.Check(t, pods.Delete(t.Context(), mirror, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
	s.AwaitPod(t, patience, metav1.NamespaceSystem, mirror, func(p *corev1.Pod) bool { return suite.Running(p) && p.UID != pod.UID })
	suite.Check(t, s.node.RemoveStaticPod("static"))
	s.AwaitPod(t, patience, metav1.NamespaceSystem, mirror, suite.Gone)
}

func (s *life) testKubeletRestart(t *testing.T) {
	s.node.StopKubelet()
	s.startKubelet(t)
	s.await(t, "probes", suite.Running)
}

// startKubelet starts the kubelet and waits until its Node is Ready.
func (s *life) startKubelet(t *testing.T) {
	t.Helper()
	began := time.Now()
	suite.Check(t, s.node.StartKubelet())
	suite.Check(t, s.node.AwaitReady(suite.Within(t, patience), s.Admin, began))
}

// testRuntimeDown stops containerd until the kubelet says that its Node is not Ready.
func (s *life) testRuntimeDown(t *testing.T) {
	s.node.StopRuntime()
	s.AwaitNodeCondition(t, patience, s.node.Name, corev1.NodeReady, corev1.ConditionFalse)
	suite.Check(t, s.node.StartRuntime(t.Context()))
	s.AwaitNodeCondition(t, patience, s.node.Name, corev1.NodeReady, corev1.ConditionTrue)
}

// testPressure makes the kubelet believe that memory is short, which it takes from a file of the kernel: its threshold is above what the
// machine has free.
func (s *life) testPressure(t *testing.T) {
	total := s.GetNode(t, s.node.Name).Status.Capacity.Memory().Value()
	restart := func(fields map[string]any) {
		s.node.StopKubelet()
		suite.Check(t, s.node.Configure(fields))
		s.startKubelet(t)
	}
	restart(map[string]any{
		"evictionHard": map[string]string{"memory.available": fmt.Sprint(total - 1)}, "evictionPressureTransitionPeriod": "5s",
	})
	s.AwaitNodeCondition(t, patience, s.node.Name, corev1.NodeMemoryPressure, corev1.ConditionTrue)
	s.await(t, "best-effort", isEvicted)
	restart(map[string]any{"evictionPressureTransitionPeriod": "5s"})
	s.AwaitNodeCondition(t, patience, s.node.Name, corev1.NodeMemoryPressure, corev1.ConditionFalse)
}

// testDrainNode drains the node, which deletes all pods of the test, and creates them again.
func (s *life) testDrainNode(t *testing.T) {
	_, err := s.Kubectl.Run(t.Context(), nil, "drain", s.node.Name, "--force", "--delete-emptydir-data", "--timeout=2m")
	suite.Check(t, err)
	_, err = s.Kubectl.Run(t.Context(), nil, "uncordon", s.node.Name)
	suite.Check(t, err)
	s.testPods(t)
	s.applyPluginPods(t)
}

// testReboot shows that the kubelet reports another boot and starts the containers again.
func (s *life) testReboot(t *testing.T) {
	before := s.GetNode(t, s.node.Name).Status.NodeInfo.BootID
	suite.Check(t, s.node.AddStaticPod("static", fmt.Sprintf(staticPod, "--listen=:8081")))
	s.AwaitPod(t, patience, metav1.NamespaceSystem, "static-"+s.node.Name, suite.Running)
	began := time.Now()
	suite.Check(t, s.node.Reboot(t.Context()))
	suite.Check(t, s.node.AwaitReady(suite.Within(t, patience), s.Admin, began))
	suite.Eventually(t, patience, func() error {
		if after := s.GetNode(t, s.node.Name).Status.NodeInfo.BootID; after == before {
			return fmt.Errorf("the boot ID is still %s", after)
		}
		return nil
	})
	for namespace, name := range map[string]string{metav1.NamespaceDefault: "probes", metav1.NamespaceSystem: "static-" + s.node.Name} {
		s.AwaitPod(t, patience, namespace, name, func(p *corev1.Pod) bool {
			c := p.Status.ContainerStatuses
			return len(c) == 1 && c[0].State.Running != nil && c[0].State.Running.StartedAt.After(began.Add(-time.Second))
		})
	}
	// Nobody has offered the device again when the kubelet starts the pod that has one.
	s.await(t, "device", func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodFailed && p.Status.Reason == "UnexpectedAdmissionError"
	})
	s.await(t, "claim", isReady)
}

// testRegisterAgain deletes the Node. The kubelet creates it again when it starts.
func (s *life) testRegisterAgain(t *testing.T) {
	suite.Check(t, s.Admin.CoreV1().Nodes().Delete(t.Context(), s.node.Name, metav1.DeleteOptions{}))
	s.node.StopKubelet()
	s.startKubelet(t)
	s.AwaitPod(t, patience, metav1.NamespaceSystem, "static-"+s.node.Name, suite.Running)
}
