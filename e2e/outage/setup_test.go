// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outage_test shows what happens while the product, or what it needs, is down: on the rig, which runs what the
// chart installs, with real kubelets.
package outage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
)

// TestMain says to controller-runtime, whose client has nothing to say here, that it is not to say so.
func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// setup is a cluster in which the chart is installed, with a real kubelet, and somebody with the credential of another.
type setup struct {
	*cluster.Cluster
	dir      string
	binary   string // of the current version
	kubelet  *kubelet.Kubelet
	attacker *cluster.Writer // has stolen the credential of stolenNode
	values   []string        // with which the chart is installed
	account
}

const (
	// kubeletNode is the node of the real kubelet, stolenNode one whose credential was stolen.
	kubeletNode = "worker-1"
	stolenNode  = "worker-2"
	// current is the tag of the product's image, and next that of another version.
	current = "current"
	next    = "next"
	// deniedLabel is one that the policy denies at registration, and no plugin of Kubernetes does.
	deniedLabel = "example.com/pci"
)

// options say what differs from one setup to another.
type options struct {
	controllers []string // further flags of theirs
	selfManaged bool     // the certificates, which is the chart's default; otherwise they are in a Secret
}

// newSetup installs the chart, as it is for a cluster that denies.
func newSetup(t *testing.T, o options) *setup {
	t.Helper()
	dir, err := os.MkdirTemp("", "nrp-outage-")
	check(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("data and logs are kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	check(t, err)
	s := &setup{dir: dir, binary: binary}
	s.Cluster, err = cluster.Start(t.Context(), cluster.Options{
		Dir: dir, Log: t.Output(), Nodes: 3, Images: map[string]string{current: binary}, Controllers: o.controllers,
	})
	check(t, err)
	t.Cleanup(s.Stop)
	if !o.selfManaged {
		s.values, err = s.Provide(t.Context(), "serving")
		check(t, err)
	}
	s.values = append(s.values, "policies.recommended=Deny",
		"policies.adapt.recommended.nodes.labels.registration.denied={"+deniedLabel+"}")
	check(t, s.Install(t.Context(), current, s.values...))
	s.attacker, err = cluster.NewWriter(s.ControlPlane.APIServer, stolenNode)
	check(t, err)
	a := s.attacker.Do(t.Context(), cluster.Registers(stolenNode, nil))
	if a.Outcome != cluster.Allowed {
		t.Fatalf("worker-2 does not register: %s", a)
	}
	s.kubelet = s.startKubelet(t, kubeletNode)
	check(t, s.kubelet.AddStaticPod("proxy", staticPod("proxy")))
	check(t, s.AwaitRollout(t.Context()))
	s.awaitWhole(t)
	// From now on the same write changes nothing.
	if a := s.write(t, ownAnnotation(stolenNode)); a.Outcome != cluster.Allowed {
		t.Fatal(a)
	}
	return s
}

func (s *setup) startKubelet(t *testing.T, node string) *kubelet.Kubelet {
	t.Helper()
	config, err := s.ControlPlane.Kubelet(node)
	check(t, err)
	k, err := kubelet.Start(t.Context(), kubelet.Options{
		Dir: filepath.Join(s.dir, node), Node: node, Config: config, Log: t.Output(),
	})
	check(t, err)
	t.Cleanup(k.Stop)
	return k
}

// awaitWhole waits until everything is as it should be: three replicas, their policy in force, a kubelet that is Ready,
// and the attacker denied. It returns how long that took.
func (s *setup) awaitWhole(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	lap := func(what string) { t.Logf("%s after another %s", what, time.Since(began).Round(100*time.Millisecond)) }
	check(t, s.AwaitRollout(t.Context()))
	lap("every replica is available")
	// Each replica is asked in turn.
	for row := 0; row < 9; {
		if s.write(t, cluster.AddsFinalizer(stolenNode)).Outcome == cluster.Denied {
			row++
		} else if row = 0; time.Since(began) > recovery {
			t.Fatalf("not every write is denied, %s later", recovery)
		}
	}
	lap("every replica denies")
	check(t, product.AwaitReady(t.Context(), s.Policies, "recommended"))
	lap("the policy is in force")
	check(t, s.kubelet.AwaitReady(within(t, recovery), s.Admin, time.Now()))
	lap("the kubelet is Ready")
	s.awaitPod(t, "kube-system", "proxy-"+kubeletNode, true)
	return time.Since(began)
}

// recovery bounds how long anything takes to be as it was, without a person.
const recovery = 3 * time.Minute

// awaitPod waits until a pod runs, or is not there.
func (s *setup) awaitPod(t *testing.T, namespace, name string, want bool) time.Duration {
	t.Helper()
	return eventually(t, recovery, func() error {
		pod, err := s.Admin.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err) && !want:
			return nil
		case err != nil:
			return err
		case !want || pod.Status.Phase != corev1.PodRunning:
			return fmt.Errorf("pod %s is there and %s", name, pod.Status.Phase)
		}
		return nil
	})
}

// staticPod is the manifest of a static pod.
func staticPod(name string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: kube-system}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "registry.example.com/c:stays"}]
`, name)
}

// check ends the test if there is an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within is a context of the test that ends after a time.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until the condition holds, ends the test if it does not in time, and returns how long it took.
func eventually(t *testing.T, timeout time.Duration, condition func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := condition()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > timeout {
			t.Fatalf("not within %s: %v", timeout, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
