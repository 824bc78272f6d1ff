// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package door_test sends the product, as it runs beside a real API server, what no API server would: from others than
// API servers, malformed, forged, too large, too slow and too much of it. Whatever arrives, nothing is let pass that a
// policy denies, the process lives on within its memory, and a real kubelet's write is judged.
package door_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/rig"
	"noderestriction.plus/internal/record"
)

const (
	// node is the Node of the kubelet whose writes are real, and in whose name others are forged.
	node = "worker-1"
	// apiServerName is the name in the client certificate of the API server.
	apiServerName = "node-restriction-plus-client"
	// memoryLimit is that of the chart's container, in MiB. Pages of the program's own file are not what a container is
	// ended for.
	memoryLimit = 512
)

// TestMain says to controller-runtime, whose client has nothing to say here, that it is not to say so.
func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// door is a control plane whose API server has a client certificate for the product, and the product, which has the
// environment that the chart gives it.
type door struct {
	dir     string
	plane   *controlplane.ControlPlane
	product *product.Product
	// clients signs certificates of clients. The product knows it and, as where there is no such authority, the
	// cluster's own.
	clients *controlplane.Authority
	kubelet *rig.Writer
}

func TestDoor(t *testing.T) {
	d := openDoor(t)
	t.Run("only API servers may ask", d.testCertificates)
	t.Run("other protocols", d.testProtocols)
	// From here on as where API servers cannot be given a certificate: any pod may ask.
	check(t, d.product.Stop())
	check(t, d.product.Run(t.Context()))
	check(t, d.product.AwaitCalled(t.Context(), d.plane.APIServer))
	t.Run("forged reviews", d.testForged)
	t.Run("bodies", d.testBodies)
	t.Run("policies", d.testPolicies)
	t.Run("large bodies", d.testLargeBodies)
	t.Run("slow bodies", d.testSlowBodies)
	t.Run("idle connections", d.testIdleConnections)
	t.Run("more than there are slots for", d.testOverload)
	d.checkHarmless(t)
}

// openDoor starts everything, and has the product deny finalizers to kubelets.
func openDoor(t *testing.T) *door {
	t.Helper()
	dir, err := os.MkdirTemp("", "nrp-door-")
	check(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("data and logs are kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	d := &door{dir: dir}
	d.clients, err = controlplane.NewAuthority("clients")
	check(t, err)
	d.plane, err = controlplane.Start(t.Context(), controlplane.Options{
		Dir: dir, Log: t.Output(), APIServer: controlplane.APIServerOptions{
			Args: []string{"--admission-control-config-file=" + d.writeAdmissionConfiguration(t)},
		},
	})
	check(t, err)
	t.Cleanup(d.plane.Stop)
	d.install(t)
	return d
}

// writeAdmissionConfiguration writes what gives the API server its client certificate.
func (d *door) writeAdmissionConfiguration(t *testing.T) string {
	t.Helper()
	client, err := d.clients.Client(apiServerName)
	check(t, err)
	dir := filepath.Join(d.dir, "admission")
	check(t, client.Write(dir))
	kubeconfig, configuration := filepath.Join(dir, "clients.kubeconfig"), filepath.Join(dir, "admission.yaml")
	// The product's port is not known yet, so that this is for every webhook.
	check(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
users:
- name: "*"
  user: {client-certificate: %q, client-key: %q}
`, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")), 0o600))
	check(t, os.WriteFile(configuration, fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ValidatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %q
`, kubeconfig), 0o600))
	return configuration
}

func (d *door) install(t *testing.T) {
	t.Helper()
	config, err := d.plane.Admin()
	check(t, err)
	admin := kubectl.Kubectl{Kubeconfig: filepath.Join(d.dir, "admin.kubeconfig")}
	admin.Path, err = binaries.Path(t.Context(), t.Output(), binaries.Kubectl())
	check(t, err)
	check(t, controlplane.WriteKubeconfig(admin.Kubeconfig, config))
	helm, err := binaries.Helm(t.Context(), t.Output())
	check(t, err)
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	check(t, err)
	authorities := filepath.Join(d.dir, "client-ca.crt")
	check(t, os.WriteFile(authorities, append(d.clients.PEM(), d.plane.CA.PEM()...), 0o644))
	d.product, err = product.Install(t.Context(), product.Options{
		Binary: binary, Dir: filepath.Join(d.dir, "product"), Config: config, CA: d.plane.CA,
		Args: []string{"--client-ca-file=" + authorities, "--client-allowed-names=" + apiServerName},
		Env:  []string{"GOMEMLIMIT=460MiB", "GOMAXPROCS=4"},
	}, admin, helm, d.plane.APIServer)
	check(t, err)
	t.Cleanup(func() {
		if err := d.product.Stop(); err != nil {
			t.Errorf("the product did not end well: %v", err)
		}
	})
	client, err := kubernetes.NewForConfig(config)
	check(t, err)
	bePatient(t, client)
	policies, err := product.Policies(config)
	check(t, err)
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Name = "finalizers"
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
	check(t, product.Enforce(t.Context(), policies, p))
	d.kubelet, err = rig.NewWriter(d.plane.APIServer, node)
	check(t, err)
	if a := d.kubelet.Do(t.Context(), rig.Registers(node, nil)); a.Outcome != rig.Allowed {
		t.Fatal(a)
	}
}

// bePatient gives the product more time to answer, on a machine that has more to do than it can.
func bePatient(t *testing.T, admin kubernetes.Interface) {
	t.Helper()
	configurations := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	c, err := configurations.Get(t.Context(), rig.Name, metav1.GetOptions{})
	check(t, err)
	for i := range c.Webhooks {
		c.Webhooks[i].TimeoutSeconds = new(int32(30))
	}
	_, err = configurations.Update(t.Context(), c, metav1.UpdateOptions{})
	check(t, err)
}

// checkEnforced checks that a real kubelet is denied what the policy denies, and that there is one record of it: the whole
// record, which says how the API server has shown who it is, or a compact one of a denial that is like earlier ones.
func (d *door) checkEnforced(t *testing.T, auth record.ClientAuth) {
	t.Helper()
	first, err := d.product.Records.Len()
	check(t, err)
	if a := d.kubelet.Do(t.Context(), rig.AddsFinalizer(node)); a.Outcome != rig.Denied {
		t.Errorf("a real write is not denied: %s", a)
	}
	records, err := d.product.Records.Since(first)
	check(t, err)
	if len(records) != 1 || records[0].Node != node || records[0].ClientAuth != auth && records[0].Operation != "" {
		t.Errorf("want one record of %s, clientAuth %s, got %d: %v", node, auth, len(records), records)
	}
}

// checkHarmless checks that nothing panicked and nothing was written but records.
func (d *door) checkHarmless(t *testing.T) {
	t.Helper()
	m, err := d.product.Metrics(t.Context())
	check(t, err)
	for _, name := range []string{"node_restriction_plus_listener_panics_total", "node_restriction_plus_panics_total"} {
		if _, found := m[name]; !found {
			t.Errorf("there is no metric %s", name)
		} else if n := m.Sum(name); n != 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
	strays, err := d.product.Records.Strays()
	check(t, err)
	if len(strays) > 0 {
		t.Errorf("standard output has what is no record: %.300q", strays[0])
	}
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
