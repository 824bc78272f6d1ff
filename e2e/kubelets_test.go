// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

const (
	workers     = 3
	stepTimeout = 90 * time.Second // for one step of a kubelet or a controller
	// workerTaint is on the Node of every worker from its registration on.
	workerTaint = "example.com/worker"
	rackLabel   = "example.com/rack"
	// leases is the resource in the metrics.
	leases = "leases.coordination.k8s.io"
)

// TestKubelets runs kubelets through their whole life, with the controllers and the scheduler of a cluster, under every shipped
// policy and with the webhook called for every possible write. No write may violate a policy. The environment variable SOAK is the
// duration; without it each scenario runs once on one of the kubelets.
func TestKubelets(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t, controlplane.APIServerOptions{WithServiceAccounts: true})
	suite.Check(t, s.ControlPlane.StartControllers(t.Context(), t.Output()))
	s.install(t)
	s.enforceShipped(t)
	t.Run("heartbeats", s.testHeartbeats)
	s.sendEverything(t)
	first, err := s.product.Records.Len()
	suite.Check(t, err)

	until := time.Now().Add(soak(t))
	all := s.startWorkers(t)
	t.Run("life", func(t *testing.T) {
		for i, l := range all {
			t.Run(l.Node, func(t *testing.T) {
				t.Parallel()
				l.run(t, i, until)
			})
		}
	})
	s.checkNoViolation(t, first, all)
	s.checkEvaluated(t)
	t.Run("attacks", func(t *testing.T) { s.testAttacksOf(t, all[0]) })
	t.Run("strays", s.testStrays)
}

// soak returns how long the scenarios run at least, or 0.
func soak(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SOAK")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	suite.Check(t, err)
	return d
}

// enforceShipped enforces the shipped policies, and one with the rules for other resources, which are in none of them.
func (s *environment) enforceShipped(t *testing.T) {
	t.Helper()
	for _, name := range []string{"baseline", "recommended", "strict"} {
		policies, err := suite.ShippedPolicies(name)
		suite.Check(t, err)
		for _, p := range policies {
			if p.Spec.Baseline != nil {
				// The program runs outside the cluster.
				p.Spec.Baseline.APIAudiences = []string{"https://kubernetes.default.svc"}
				if raceDetector {
					p.Spec.Baseline.Resources = slices.DeleteFunc(p.Spec.Baseline.Resources, looksUpLive)
				}
			}
			suite.Check(t, product.Enforce(t.Context(), s.Policies, p))
		}
	}
	others := &v1alpha1.NodeRestrictionPolicy{}
	others.Name = "others"
	others.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	others.Spec.ServiceAccountTokens = &v1alpha1.ServiceAccountTokens{}
	others.Spec.CSINodes = &v1alpha1.CSINodes{}
	others.Spec.ResourceSlices = &v1alpha1.ResourceSlices{}
	others.Spec.Events = &v1alpha1.Events{}
	suite.Check(t, product.Enforce(t.Context(), s.Policies, others))
}

// looksUpLive reports whether the baseline reads objects from the API server for each write of a resource. A write is denied if the
// objects cannot be read in time, for which a program with the race detector may be too slow.
func looksUpLive(r v1alpha1.BaselineResource) bool { return r == v1alpha1.BaselineServiceAccounts }

// sendEverything makes API servers call the webhook for every write for which the chart can register it, and waits until they do.
func (s *environment) sendEverything(t *testing.T) {
	t.Helper()
	suite.Check(t, s.product.Configure(t.Context(), s.Kubectl, s.helm, sentResources()...))
	if raceDetector {
		s.raiseTimeouts(t)
	}
	lessee := suite.Kubelet(t, s.ControlPlane.APIServer, "lessee")
	before := s.evaluations(t, "resource", leases)
	suite.Eventually(t, stepTimeout, func() error {
		request := suite.CreateLease("lessee")
		request.DryRun = true
		lessee.Send(t, request)
		if s.evaluations(t, "resource", leases) == before {
			return errors.New("the webhook is not called for leases yet")
		}
		return nil
	})
}

// sentResources returns values of the chart that register the webhook for every possible write.
func sentResources() []string {
	return []string{
		"rules.serviceAccountTokens=true", "rules.csiNodes=true", "rules.resourceSlices=true", "rules.events=true",
		"baseline={pods,persistentvolumeclaims,serviceaccounts,leases,csinodes,resourceslices," +
			"certificatesigningrequests,podcertificaterequests}",
	}
}

// startWorkers starts the kubelets and a DaemonSet.
func (s *environment) startWorkers(t *testing.T) []*worker {
	t.Helper()
	began := time.Now()
	var all []*worker
	for i := range workers {
		all = append(all, s.startWorker(t, fmt.Sprintf("hollow-%d", i+1)))
	}
	_, err := s.Admin.AppsV1().DaemonSets(metav1.NamespaceSystem).Create(t.Context(), daemonSet(), metav1.CreateOptions{})
	suite.Check(t, err)
	for _, l := range all {
		suite.Check(t, l.AwaitReady(suite.Within(t, stepTimeout), s.Admin, began))
		l.checkRegistration(t)
		s.AwaitPod(t, stepTimeout, "kube-system", "proxy-"+l.Node, suite.Running)
		s.AwaitPod(t, stepTimeout, "default", "agent-"+l.Node, suite.Running)
	}
	return all
}

func (s *environment) startWorker(t *testing.T, node string) *worker {
	t.Helper()
	l := &worker{environment: s, attacker: suite.Kubelet(t, s.ControlPlane.APIServer, node), manifests: newManifests()}
	url := l.manifests.serve(t)
	l.Kubelet = s.MustStartKubelet(t, kubelet.Options{
		Node: node, StaticPodURL: url,
		Labels: []string{rackLabel + "=r-1"}, Taints: []string{workerTaint + "=" + node + ":NoSchedule"},
	})
	suite.Check(t, l.AddStaticPod("proxy", staticPod("kube-system", "proxy")))
	suite.Check(t, l.AddStaticPod("agent", staticPod("", "agent")))
	return l
}

// checkRegistration checks that the Node has the label and the taint of the registration.
func (l *worker) checkRegistration(t *testing.T) {
	t.Helper()
	node := l.GetNode(t, l.Node)
	checkRelease(t, binaries.Kubelet(), node.Status.NodeInfo.KubeletVersion)
	if node.Labels[rackLabel] != "r-1" {
		t.Errorf("the Node has no label %s: %v", rackLabel, node.Labels)
	}
	if !slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == workerTaint }) {
		t.Errorf("the Node has no taint %s: %v", workerTaint, node.Spec.Taints)
	}
}

// checkNoViolation checks that there is no record of these kubelets after the first records, whatever the action.
func (s *environment) checkNoViolation(t *testing.T, first int, all []*worker) {
	t.Helper()
	records, err := s.product.Records.Since(first)
	suite.Check(t, err)
	for _, l := range all {
		for _, r := range records {
			if r.Node == l.Node {
				t.Errorf("a write of a stock kubelet violates a policy: %s", r.Text)
			}
		}
		log, err := os.ReadFile(l.LogFile())
		suite.Check(t, err)
		if strings.Contains(string(log), "denied the request") {
			t.Errorf("a write of kubelet %s was denied, see %s", l.Node, l.LogFile())
		}
	}
}

// checkEvaluated checks that every kind of write that these kubelets send was evaluated.
func (s *environment) checkEvaluated(t *testing.T) {
	t.Helper()
	for _, kind := range [][3]string{
		{"nodes", "", "CREATE"},
		{"nodes", "status", "UPDATE"},
		{"pods", "", "CREATE"},
		{"pods", "", "DELETE"},
		{"pods", "status", "UPDATE"},
		{"serviceaccounts", "token", "CREATE"},
		{leases, "", "CREATE"},
		{leases, "", "UPDATE"},
		{"csinodes.storage.k8s.io", "", "CREATE"},
	} {
		n := s.evaluations(t, "resource", kind[0], "subresource", kind[1], "operation", kind[2], "decision", "allowed")
		t.Logf("%6.0f %s %s/%s evaluated", n, kind[2], kind[0], kind[1])
		if n == 0 {
			t.Errorf("no %s of %s/%s was evaluated", kind[2], kind[0], kind[1])
		}
	}
}

// evaluations returns how many writes with these labels were evaluated.
func (s *environment) evaluations(t *testing.T, labels ...string) float64 {
	t.Helper()
	m, err := s.product.Metrics(t.Context())
	suite.Check(t, err)
	return m.Sum("node_restriction_plus_evaluations_total", labels...)
}
