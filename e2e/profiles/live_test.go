// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

const (
	current = "current" // tag of the product's image
	// deniesLabel is a value that makes policies deny a label at registration.
	deniesLabel = "policies.adapt.recommended.nodes.labels.registration.denied={" + deniedLabel + "}"
	kubeletNode = "worker-1"
)

// setup is a cluster with a real kubelet, in which the chart is installed in one profile after the other.
type setup struct {
	*cluster.Cluster
	binary  string
	kubelet *kubelet.Kubelet
}

// TestProfiles installs the chart, changes its profile, and shows what each profile does with attacks and with a stock kubelet, while
// replicas answer and while none answers.
func TestProfiles(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	t.Run("observe", s.testObserve)
	t.Run("strict", s.testStrict)
	t.Run("controlPlane", s.testControlPlane)
	t.Run("files", s.testFiles)
	s.checkNoKubeletIsRecorded(t)
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	suite.Check(t, err)
	s := &setup{binary: binary}
	s.Cluster = cluster.New(t, "profiles", cluster.Options{Nodes: 1, Images: map[string]string{current: binary}})
	// Only an administrator can set this label: the NodeRestriction plugin denies it to kubelets.
	label := []byte(`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`)
	_, err = s.Admin.CoreV1().Nodes().Patch(t.Context(), s.Nodes[0].Name, types.MergePatchType, label, metav1.PatchOptions{})
	suite.Check(t, err)
	s.kubelet = s.MustStartKubelet(t, kubelet.Options{Node: kubeletNode})
	suite.Check(t, s.kubelet.AddStaticPod("proxy", kubelet.StaticPod("proxy")))
	return s
}

// install installs or upgrades the chart with pods that terminate fast, which no test here looks at.
func (s *setup) install(t *testing.T, values ...string) {
	t.Helper()
	suite.Check(t, s.Install(t.Context(), current, append([]string{
		"replicas=1", "shutdown.preStopSeconds=0", "shutdown.delaySeconds=0", deniesLabel,
	}, values...)...))
}

// freePorts returns values that make pods in the network of their node listen on free ports.
func freePorts(t *testing.T) []string {
	t.Helper()
	ports, err := process.FreePorts(2)
	suite.Check(t, err)
	return []string{
		fmt.Sprintf("ports.webhook=%d,ports.health=%d", ports[0], ports[1]), "metrics.enabled=false",
	}
}

// scale scales the Deployment and waits for its replicas.
func (s *setup) scale(t *testing.T, replicas int32) {
	t.Helper()
	_, err := s.Admin.AppsV1().Deployments(cluster.Namespace).UpdateScale(t.Context(), cluster.Name, &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Namespace: cluster.Namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
	}, metav1.UpdateOptions{})
	suite.Check(t, err)
	suite.Check(t, s.AwaitRollout(t.Context()))
}

// awaitEnforced waits until an API server calls the webhook and the policies are in force: until a dry run that violates recommended
// has this outcome.
func (s *setup) awaitEnforced(t *testing.T, n *node, want suite.Outcome) {
	t.Helper()
	suite.Check(t, product.AwaitReady(t.Context(), s.Policies, "recommended"))
	probe := suite.AddFinalizer(n.name)
	probe.DryRun = true
	suite.Eventually(t, recovery, func() error {
		before, err := s.Records()
		suite.Check(t, err)
		a := n.client.Do(t.Context(), probe)
		after, err := s.Records()
		suite.Check(t, err)
		if a.Outcome != want || len(after) == len(before) {
			return errors.New(a.String())
		}
		return nil
	})
}

// awaitFloor waits until the API server enforces the floor.
func (n *node) awaitFloor(t *testing.T) {
	t.Helper()
	probe := n.registersDenied(suite.Floor).write
	probe.DryRun = true
	suite.Eventually(t, recovery, func() error {
		if a := n.client.Do(t.Context(), probe); a.Outcome != suite.Floor {
			return errors.New(a.String())
		}
		return nil
	})
}

// helmTest runs the chart's test in the cluster with Helm, and checks that it leaves no objects.
func (s *setup) helmTest(t *testing.T) {
	t.Helper()
	out, err := s.Helm(t.Context(), "test", cluster.Release)
	suite.Check(t, err)
	if !strings.Contains(out, "Phase:          Succeeded") {
		t.Errorf("helm test says\n%s", out)
	}
	const verify = cluster.Name + "-verify"
	suite.Eventually(t, recovery, func() error {
		_, pod := s.Admin.CoreV1().Pods(cluster.Namespace).Get(t.Context(), verify, metav1.GetOptions{})
		_, role := s.Admin.RbacV1().ClusterRoles().Get(t.Context(), verify, metav1.GetOptions{})
		_, binding := s.Admin.RbacV1().ClusterRoleBindings().Get(t.Context(), verify, metav1.GetOptions{})
		if apierrors.IsNotFound(pod) && apierrors.IsNotFound(role) && apierrors.IsNotFound(binding) {
			return nil
		}
		return fmt.Errorf("pod: %v; role: %v; binding: %v", pod, role, binding) //nolint:errorlint // Some of them may be nil.
	})
}

// checkKubelet restarts the real kubelet, which must become Ready and create the mirror pod of its static pod.
func (s *setup) checkKubelet(t *testing.T) {
	t.Helper()
	restarted := time.Now()
	suite.Check(t, s.kubelet.Restart())
	suite.Check(t, s.kubelet.AwaitReady(t.Context(), s.Admin, restarted))
	s.AwaitPod(t, recovery, metav1.NamespaceSystem, "proxy-"+kubeletNode, suite.Running)
}

// checkNoKubeletIsRecorded checks that no write of a stock kubelet violated a policy.
func (s *setup) checkNoKubeletIsRecorded(t *testing.T) {
	t.Helper()
	records, err := s.Records()
	suite.Check(t, err)
	stock := []string{kubeletNode, s.Nodes[0].Name}
	for _, r := range records {
		if slices.Contains(stock, r.Node) {
			t.Errorf("a write of a stock kubelet violates a policy: %s", r.Text)
		}
	}
}

// node is a node whose credential was stolen.
type node struct {
	name   string
	uid    string
	client *suite.Client
}

// newNode registers a Node.
func (s *setup) newNode(t *testing.T, server *controlplane.APIServer, name string) *node {
	t.Helper()
	n := &node{name: name}
	n.client = suite.Kubelet(t, server, name)
	n.do(t, attempt{"the first registration", suite.RegisterNode(name, map[string]string{"kubernetes.io/os": "linux"}), suite.Allowed})
	n.do(t, attempt{"the first lease", suite.CreateLease(name), suite.Allowed})
	stored, err := s.Admin.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	suite.Check(t, err)
	n.uid = string(stored.UID)
	return n
}

// addPods creates the missing ones of the pods that the attacks target.
func (s *setup) addPods(t *testing.T, n *node) {
	t.Helper()
	pods := s.Admin.CoreV1().Pods(metav1.NamespaceDefault)
	for _, name := range []string{"stays", "deleted", "evicted"} {
		if _, err := pods.Get(t.Context(), n.podName(name), metav1.GetOptions{}); err == nil {
			continue
		}
		_, err := pods.Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: n.podName(name)},
			Spec: corev1.PodSpec{
				NodeName: n.name, TerminationGracePeriodSeconds: new(int64(0)),
				Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
				Containers:  []corev1.Container{{Name: "c", Image: "c"}},
			},
		}, metav1.CreateOptions{})
		suite.Check(t, err)
	}
}

// do sends writes, checks that each has the wanted outcome, and returns the answers.
func (n *node) do(t *testing.T, attempts ...attempt) []suite.Answer {
	t.Helper()
	var answers []suite.Answer
	for _, a := range attempts {
		answer := n.client.Do(t.Context(), a.write)
		if answer.Outcome != a.want {
			t.Errorf("%s: want %s, got %s", a.name, a.want, answer)
		}
		answers = append(answers, answer)
	}
	return answers
}
