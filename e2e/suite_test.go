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

// suite is what all tests share: a control plane and the product in front of it. NodeRestriction is on in the control
// plane's own API server; open is a second one without it, of the same cluster.
type suite struct {
	dir      string
	stock    *controlplane.ControlPlane
	open     *controlplane.APIServer
	admin    kubernetes.Interface // by way of open
	product  *product.Product
	policies client.Client
	kubectl  kubectl.Kubectl // of an administrator
}

// TestProduct has every test as a part, because all share one control plane and one product. Those that look at totals
// run alone; the others run at the same time.
func TestProduct(t *testing.T) {
	s := start(t)
	t.Run("policies", s.testPolicies)
	t.Run("bodies", s.testBodies)
	t.Run("denials", s.testDenials)
	t.Run("restart", s.testRestart)
	t.Run("together", func(t *testing.T) {
		t.Run("kubelets", func(t *testing.T) {
			t.Parallel()
			s.testKubelets(t)
		})
		t.Run("fixtures", func(t *testing.T) {
			t.Parallel()
			s.testFixtures(t)
		})
	})
	t.Run("strays", s.testStrays)
}

// start starts everything. What ran is stopped at the end of the test, and its folder removed, unless the test fails.
func start(t *testing.T) *suite {
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
	s := &suite{dir: dir}
	ctrllog.SetLogger(logr.Discard()) // its client has nothing to say, and complains if it cannot say it
	s.startControlPlane(t)
	s.startProduct(t)
	return s
}

func (s *suite) startControlPlane(t *testing.T) {
	t.Helper()
	path, err := binaries.Path(t.Context(), t.Output(), binaries.Kubectl())
	check(t, err)
	s.stock, err = controlplane.Start(t.Context(), controlplane.Options{Dir: s.dir, Log: t.Output()})
	check(t, err)
	t.Cleanup(s.stock.Stop)
	s.open, err = s.stock.AddAPIServer(t.Context(), controlplane.APIServerOptions{WithoutNodeRestriction: true})
	check(t, err)
	config, err := s.open.Admin()
	check(t, err)
	s.admin, err = kubernetes.NewForConfig(config)
	check(t, err)
	s.kubectl = kubectl.Kubectl{Path: path, Kubeconfig: filepath.Join(s.dir, "admin.kubeconfig")}
	check(t, controlplane.WriteKubeconfig(s.kubectl.Kubeconfig, config))
}

func (s *suite) startProduct(t *testing.T) {
	t.Helper()
	binary, err := binaries.Product(t.Context(), t.Output(), raceDetector)
	check(t, err)
	helm, err := binaries.Helm(t.Context(), t.Output())
	check(t, err)
	config, err := s.stock.Admin()
	check(t, err)
	s.product, err = product.Install(t.Context(), product.Options{
		Binary: binary, Dir: filepath.Join(s.dir, "product"), Config: config, CA: s.stock.CA,
	}, s.kubectl, helm, s.stock.APIServer, s.open)
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
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, timeout, true,
		func(context.Context) (bool, error) {
			last = condition()
			return last == nil, nil
		})
	if err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}
