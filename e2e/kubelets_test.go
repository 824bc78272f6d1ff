// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/internal/manifest"
)

const (
	lanes       = 3
	laneTimeout = 90 * time.Second // for any one thing that a kubelet or a controller does
	// laneTaint is on every node of a lane from its registration.
	laneTaint = "example.com/lane"
	rackLabel = "example.com/rack"
	// leases are what our metrics call them.
	leases = "leases.coordination.k8s.io"
)

// TestKubelets has kubelets live a full life beside the controllers and the scheduler of a cluster, under every policy
// that we ship and with every write sent that can be. Nothing that they write may be judged a violation. The
// environment variable SOAK is how long they live; without it each thing happens to one of them once.
func TestKubelets(t *testing.T) {
	t.Parallel()
	s := newSuite(t)
	s.startControlPlane(t, controlplane.APIServerOptions{WithServiceAccounts: true})
	s.administer(t, s.stock.APIServer)
	check(t, s.stock.StartControllers(t.Context(), t.Output()))
	s.startProduct(t, s.stock.APIServer)
	s.enforceShipped(t)
	t.Run("heartbeats", s.testHeartbeats)
	s.sendEverything(t)
	first, err := s.product.Records.Len()
	check(t, err)

	until := time.Now().Add(soak(t))
	all := s.startLanes(t)
	t.Run("life", func(t *testing.T) {
		for i, l := range all {
			t.Run(l.Node, func(t *testing.T) {
				t.Parallel()
				l.live(t, i, until)
			})
		}
	})
	s.checkNoViolation(t, first, all)
	s.checkJudged(t)
	t.Run("attacks", func(t *testing.T) { s.testAttacksOf(t, all[0]) })
	t.Run("strays", s.testStrays)
}

// soak is how long the kubelets live at least, or 0.
func soak(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SOAK")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	check(t, err)
	return d
}

// enforceShipped enforces the policies that we ship, and one with the rules about other resources, which are in none of
// them.
func (s *suite) enforceShipped(t *testing.T) {
	t.Helper()
	for _, name := range []string{"baseline", "recommended", "strict"} {
		data, err := os.ReadFile("../config/policies/" + name + ".yaml")
		check(t, err)
		policies, err := manifest.Policies(data)
		check(t, err)
		for _, p := range policies {
			if p.Spec.Baseline != nil {
				// The program runs outside of the cluster.
				p.Spec.Baseline.APIAudiences = []string{"https://kubernetes.default.svc"}
				if raceDetector {
					p.Spec.Baseline.Resources = slices.DeleteFunc(p.Spec.Baseline.Resources, looksUpLive)
				}
			}
			check(t, product.Enforce(t.Context(), s.policies, p))
		}
	}
	others := &v1alpha1.NodeRestrictionPolicy{}
	others.Name = "others"
	others.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	others.Spec.ServiceAccountTokens = &v1alpha1.ServiceAccountTokens{}
	others.Spec.CSINodes = &v1alpha1.CSINodes{}
	others.Spec.ResourceSlices = &v1alpha1.ResourceSlices{}
	others.Spec.Events = &v1alpha1.Events{}
	check(t, product.Enforce(t.Context(), s.policies, others))
}

// looksUpLive reports whether the baseline reads objects from the API server for each write of a resource. What cannot be
// read in time is denied, and with the race detector the program may be too slow for that.
func looksUpLive(r v1alpha1.BaselineResource) bool { return r == v1alpha1.BaselineServiceAccounts }

// sendEverything has the API server send us every write that the chart can have it send, and waits until it does.
func (s *suite) sendEverything(t *testing.T) {
	t.Helper()
	check(t, s.product.Configure(t.Context(), s.kubectl, s.helm, sentResources()...))
	if raceDetector {
		s.raiseTimeouts(t)
	}
	config, err := s.stock.Kubelet("lessee")
	lessee := newCaller(t, config, err)
	before := s.evaluations(t, "resource", leases)
	await(t, func() error {
		_, err := lessee.do(t.Context(), call{
			method: http.MethodPost, path: "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
			contentType: mediaJSON, query: withDryRun(nil),
			body: []byte(`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"lessee"}}`),
		})
		if err == nil && s.evaluations(t, "resource", leases) == before {
			err = fmt.Errorf("leases are not sent yet")
		}
		return err
	})
}

// sentResources are the chart's values with which every write is sent that can be.
func sentResources() []string {
	return []string{
		"rules.serviceAccountTokens=true", "rules.csiNodes=true", "rules.resourceSlices=true", "rules.events=true",
		"baseline={pods,persistentvolumeclaims,serviceaccounts,leases,csinodes,resourceslices," +
			"certificatesigningrequests,podcertificaterequests}",
	}
}

// startLanes starts the kubelets, and a DaemonSet on all of them.
func (s *suite) startLanes(t *testing.T) []*lane {
	t.Helper()
	began := time.Now()
	var all []*lane
	for i := range lanes {
		all = append(all, s.startLane(t, fmt.Sprintf("hollow-%d", i+1)))
	}
	_, err := s.admin.AppsV1().DaemonSets(metav1.NamespaceSystem).Create(t.Context(), daemonSet(), metav1.CreateOptions{})
	check(t, err)
	for _, l := range all {
		check(t, l.AwaitReady(within(t, laneTimeout), s.admin, began))
		l.checkRegistration(t)
		s.awaitPod(t, "kube-system", "proxy-"+l.Node, running)
		s.awaitPod(t, "default", "agent-"+l.Node, running)
	}
	return all
}

func (s *suite) startLane(t *testing.T, node string) *lane {
	t.Helper()
	config, err := s.stock.Kubelet(node)
	check(t, err)
	l := &lane{suite: s, attacker: newCaller(t, config, err), manifests: newManifests()}
	url := l.manifests.serve(t)
	l.Kubelet, err = kubelet.Start(t.Context(), kubelet.Options{
		Dir: filepath.Join(s.dir, node), Node: node, Config: config, Log: t.Output(), StaticPodURL: url,
		Labels: []string{rackLabel + "=r-1"}, Taints: []string{laneTaint + "=" + node + ":NoSchedule"},
	})
	check(t, err)
	t.Cleanup(l.Stop)
	check(t, l.AddStaticPod("proxy", staticPod("kube-system", "proxy")))
	check(t, l.AddStaticPod("agent", staticPod("", "agent")))
	return l
}

// checkRegistration checks that the Node has what the kubelet registers with.
func (l *lane) checkRegistration(t *testing.T) {
	t.Helper()
	node := l.getNode(t, l.Node)
	if node.Labels[rackLabel] != "r-1" {
		t.Errorf("the Node has no label %s: %v", rackLabel, node.Labels)
	}
	if !slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == laneTaint }) {
		t.Errorf("the Node has no taint %s: %v", laneTaint, node.Spec.Taints)
	}
}

// checkNoViolation checks that after the first records there is none of these kubelets, of whatever action.
func (s *suite) checkNoViolation(t *testing.T, first int, all []*lane) {
	t.Helper()
	records, err := s.product.Records.Since(first)
	check(t, err)
	for _, l := range all {
		for _, r := range records {
			if r.Node == l.Node {
				t.Errorf("a write of a stock kubelet was judged a violation: %s", r.Text)
			}
		}
		log, err := os.ReadFile(l.LogFile())
		check(t, err)
		if strings.Contains(string(log), "denied the request") {
			t.Errorf("kubelet %s was denied something, see %s", l.Node, l.LogFile())
		}
	}
}

// checkJudged checks that we have judged every kind of write that these kubelets send.
func (s *suite) checkJudged(t *testing.T) {
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
		t.Logf("%6.0f %s %s/%s judged", n, kind[2], kind[0], kind[1])
		if n == 0 {
			t.Errorf("no %s of %s/%s was judged", kind[2], kind[0], kind[1])
		}
	}
}

// evaluations is how many writes with these labels we have judged.
func (s *suite) evaluations(t *testing.T, labels ...string) float64 {
	t.Helper()
	m, err := s.product.Metrics(t.Context())
	check(t, err)
	return m.Sum("node_restriction_plus_evaluations_total", labels...)
}
