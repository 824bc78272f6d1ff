// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e_test runs the product against a real control plane and real kubelets.
package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/product"
)

// suite is a control plane and the product in front of it.
type suite struct {
	dir      string
	stock    *controlplane.ControlPlane // with NodeRestriction
	admin    kubernetes.Interface
	helm     string // path
	product  *product.Product
	policies client.Client
	kubectl  kubectl.Kubectl // of an administrator
}

// duo is a suite with a second API server, of the same cluster, without NodeRestriction. The administrators use that one.
type duo struct {
	*suite
	open *controlplane.APIServer
}

// TestProduct has as its parts the tests that need no controllers, because all share one control plane and one product.
// Those that look at totals run alone.
func TestProduct(t *testing.T) {
	t.Parallel()
	s := &duo{suite: newSuite(t)}
	s.startControlPlane(t, controlplane.APIServerOptions{})
	var err error
	s.open, err = s.stock.AddAPIServer(t.Context(), controlplane.APIServerOptions{WithoutNodeRestriction: true})
	check(t, err)
	s.administer(t, s.open)
	s.startProduct(t, s.stock.APIServer, s.open)
	t.Run("policies", s.testPolicies)
	t.Run("ownership", s.testOwnership)
	t.Run("bodies", s.testBodies)
	t.Run("denials", s.testDenials)
	t.Run("audited and warned", s.testAuditedAndWarned)
	t.Run("restart", s.testRestart)
	t.Run("fixtures", s.testFixtures)
	t.Run("metrics", s.testMetrics)
	t.Run("strays", s.testStrays)
}

// newSuite has nothing started yet. What will run is stopped at the end of the test, and its folder removed, unless the
// test fails.
func newSuite(t *testing.T) *suite {
	t.Helper()
	dir, err := os.MkdirTemp("", "nrp-e2e-")
	check(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("data and logs are kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return &suite{dir: dir}
}

func (s *suite) startControlPlane(t *testing.T, o controlplane.APIServerOptions) {
	t.Helper()
	path, err := binaries.Path(t.Context(), t.Output(), binaries.Kubectl())
	check(t, err)
	s.kubectl = kubectl.Kubectl{Path: path, Kubeconfig: filepath.Join(s.dir, "admin.kubeconfig")}
	s.stock, err = controlplane.Start(t.Context(), controlplane.Options{Dir: s.dir, Log: t.Output(), APIServer: o})
	check(t, err)
	t.Cleanup(s.stock.Stop)
}

// administer has the administrators use an API server.
func (s *suite) administer(t *testing.T, server *controlplane.APIServer) {
	t.Helper()
	config, err := server.Admin()
	check(t, err)
	s.admin, err = kubernetes.NewForConfig(config)
	check(t, err)
	check(t, controlplane.WriteKubeconfig(s.kubectl.Kubeconfig, config))
}

// startProduct installs the product and waits until these API servers call it.
func (s *suite) startProduct(t *testing.T, servers ...*controlplane.APIServer) {
	t.Helper()
	build := binaries.Plain()
	if raceDetector {
		build = binaries.Race()
	}
	binary, err := binaries.Product(t.Context(), t.Output(), build)
	check(t, err)
	s.helm, err = binaries.Helm(t.Context(), t.Output())
	check(t, err)
	config, err := s.stock.Admin()
	check(t, err)
	s.product, err = product.Install(t.Context(), product.Options{
		Binary: binary, Dir: filepath.Join(s.dir, "product"), Config: config, CA: s.stock.CA,
	}, s.kubectl, s.helm, servers...)
	check(t, err)
	t.Cleanup(func() {
		if err := s.product.Stop(); err != nil {
			t.Errorf("the product did not end well: %v", err)
		}
	})
	s.policies, err = product.Policies(config)
	check(t, err)
	if raceDetector {
		s.raiseTimeouts(t)
	}
}

// raiseTimeouts gives a product with the race detector, which is ten times slower, more time to answer.
func (s *suite) raiseTimeouts(t *testing.T) {
	t.Helper()
	configurations := s.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	c, err := configurations.Get(t.Context(), "node-restriction-plus", metav1.GetOptions{})
	check(t, err)
	for i := range c.Webhooks {
		c.Webhooks[i].TimeoutSeconds = new(int32(10))
	}
	_, err = configurations.Update(t.Context(), c, metav1.UpdateOptions{})
	check(t, err)
}

// TestMain says to controller-runtime, whose client has nothing to say here, that it is not to say so.
func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
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

// toJSON encodes what cannot fail to be encoded.
func toJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	check(t, err)
	return data
}

// eventually polls until the condition holds, and ends the test if it does not in time.
func eventually(t *testing.T, timeout time.Duration, condition func() error) {
	t.Helper()
	eventuallyAt(t, 20*time.Millisecond, timeout, condition)
}

func eventuallyAt(t *testing.T, interval, timeout time.Duration, condition func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), interval, timeout, true,
		func(context.Context) (bool, error) {
			last = condition()
			return last == nil, nil
		})
	if err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}
