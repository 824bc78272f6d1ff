// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubelet runs real kubelets, with imaginary containers, as processes.
package kubelet

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/process"
)

// Images of imaginary containers. They run until they are stopped, or exit on their own with code 0 or 1.
const (
	Stays = "registry.example.com/c:stays"
	Exits = "registry.example.com/c:exits"
	Fails = "registry.example.com/c:fails"
)

// Options configure a kubelet.
type Options struct {
	Dir    string       // for its data and log; created if necessary
	Node   string       // name of the Node
	Config *rest.Config // with the kubelet's credential
	Labels []string     // to register with, each key=value
	Taints []string     // to register with, each key=value:effect
	Log    io.Writer    // progress, if the program has to be built

	// RotateCertificates makes the kubelet request a certificate when it starts for the first time, in place of that of Config, and
	// from then on before the last one expires. It needs a controller that approves and one that signs.
	RotateCertificates bool
	// StaticPodURL is the URL of further manifests of static pods; empty: no URL.
	StaticPodURL string
	// Heartbeat is the interval of writes of the Node's status. 0: as a stock kubelet, every 10 s if the status has changed and
	// every 5 min otherwise.
	Heartbeat time.Duration
}

// Kubelet is a kubelet, running or stopped.
type Kubelet struct {
	Node string
	// Kubeconfig is the path of the kubeconfig with its credential.
	Kubeconfig string

	options Options
	binary  string
	process *process.Process
}

// Start starts a kubelet. It does not wait until the kubelet has registered; AwaitReady does.
func Start(ctx context.Context, o Options) (*Kubelet, error) {
	binary, err := binaries.Path(ctx, o.Log, binaries.Kubelet())
	if err != nil {
		return nil, err
	}
	k := &Kubelet{Node: o.Node, Kubeconfig: filepath.Join(o.Dir, "kubeconfig"), options: o, binary: binary}
	for _, dir := range []string{k.rootDir(), k.staticPods()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := controlplane.WriteKubeconfig(k.Kubeconfig, o.Config); err != nil {
		return nil, err
	}
	if err := k.Run(); err != nil {
		return nil, err
	}
	return k, nil
}

// LogFile returns the path of its log.
func (k *Kubelet) LogFile() string { return filepath.Join(k.options.Dir, "kubelet.log") }

// CertDir returns the directory with the certificates that the kubelet has requested.
func (k *Kubelet) CertDir() string { return filepath.Join(k.options.Dir, "pki") }

func (k *Kubelet) rootDir() string    { return filepath.Join(k.options.Dir, "root") }
func (k *Kubelet) staticPods() string { return filepath.Join(k.options.Dir, "static-pods") }

// starve returns the path of a file that exhausts the machine's memory while it exists.
func (k *Kubelet) starve() string { return filepath.Join(k.rootDir(), "starve") }

// Run starts a stopped kubelet on the same machine, which has lost its containers.
func (k *Kubelet) Run() (err error) {
	args := []string{
		"--name=" + k.Node,
		"--kubeconfig=" + k.Kubeconfig,
		"--root-dir=" + k.rootDir(),
		"--static-pods=" + k.staticPods(),
		"--static-pod-url=" + k.options.StaticPodURL,
		"--node-labels=" + strings.Join(k.options.Labels, ","),
		"--register-with-taints=" + strings.Join(k.options.Taints, ","),
		"--v=2",
	}
	if k.options.RotateCertificates {
		args = append(args, "--cert-dir="+k.CertDir())
	}
	if d := k.options.Heartbeat; d != 0 {
		args = append(args,
			"--node-status-update-frequency="+d.String(), "--node-status-report-frequency="+d.String())
	}
	k.process, err = process.Start(process.Spec{
		Name: "kubelet of " + k.Node, Path: k.binary, Dir: k.options.Dir, LogFile: k.LogFile(), Args: args,
	})
	return err
}

// Stop kills the kubelet, like a loss of power. Its Node and its pods stay in the API.
func (k *Kubelet) Stop() { _ = k.process.Kill() }

// Restart kills the kubelet and starts it with the same static pods.
func (k *Kubelet) Restart() error {
	k.Stop()
	return k.Run()
}

// Starve exhausts the memory of its machine.
func (k *Kubelet) Starve() error { return os.WriteFile(k.starve(), nil, 0o644) }

// Feed reverts Starve.
func (k *Kubelet) Feed() error { return os.Remove(k.starve()) }

// ShutDown announces to the kubelet that its machine will shut down.
func (k *Kubelet) ShutDown() error { return k.process.Signal(syscall.SIGUSR1) }

// AwaitReady waits until the Node is Ready and its lease was renewed after a moment. If that is the start of the kubelet, this run
// has renewed it.
func (k *Kubelet) AwaitReady(ctx context.Context, admin kubernetes.Interface, after time.Time) error {
	return k.process.Await(ctx, func(ctx context.Context) error {
		node, err := admin.CoreV1().Nodes().Get(ctx, k.Node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !isReady(node) {
			return fmt.Errorf("node %s is not Ready", k.Node)
		}
		lease, err := admin.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, k.Node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.RenewTime == nil || !lease.Spec.RenewTime.After(after) {
			return fmt.Errorf("node %s has not renewed its lease", k.Node)
		}
		return nil
	})
}

func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// CSIDriver is a CSI driver that runs on the machine of a kubelet, whether the kubelet runs or not.
type CSIDriver struct {
	Name     string
	NodeID   string            // which the driver gives the node
	Topology map[string]string // of the node

	process *process.Process
}

// AddCSIDriver starts a driver, which the kubelet registers a moment later.
func (k *Kubelet) AddCSIDriver(ctx context.Context, d *CSIDriver) error {
	binary, err := binaries.Path(ctx, k.options.Log, binaries.KubeletPlugins())
	if err != nil {
		return err
	}
	args := []string{"csi-driver", "--root-dir=" + k.rootDir(), "--name=" + d.Name, "--node-id=" + d.NodeID}
	for key, value := range d.Topology {
		args = append(args, "--topology="+key+"="+value)
	}
	d.process, err = process.Start(process.Spec{
		Name: "CSI driver of " + k.Node, Path: binary, Dir: k.options.Dir, LogFile: filepath.Join(k.options.Dir, "csi.log"), Args: args,
	})
	return err
}

// Remove stops the driver, which the kubelet then forgets. It returns an error if the driver has not run until now: it ends if the
// kubelet does not register it.
func (d *CSIDriver) Remove() error { return d.process.Stop(10 * time.Second) }

// StaticPod returns the manifest of a static pod in the namespace kube-system.
func StaticPod(name string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: kube-system}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: %q}]
`, name, Stays)
}

// AddStaticPod adds a manifest of a static pod as a file with this name.
func (k *Kubelet) AddStaticPod(name string, manifest []byte) error {
	// The kubelet must not read half a file.
	tmp := filepath.Join(k.options.Dir, name+".tmp")
	if err := os.WriteFile(tmp, manifest, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(k.staticPods(), name+".yaml"))
}

// RemoveStaticPod removes a manifest.
func (k *Kubelet) RemoveStaticPod(name string) error {
	return os.Remove(filepath.Join(k.staticPods(), name+".yaml"))
}
