// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package stage is what the demos share: a control plane with real kubelets, an attacker with the credential of one of them, the
// product, and the screen.
package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// Node is the node whose credential the attacker holds.
const Node = "worker-1"

// Demo is everything that runs. Everything runs on the loopback interface.
type Demo struct {
	*suite.Suite // after StartCluster
	Screen       *Screen
	Kubelets     []*kubelet.Kubelet // in the order in which they were started
	Product      *product.Product   // after Install

	dir      string // for what is of no use afterwards
	building sync.WaitGroup
	built    chan struct{} // closed when the product is built, or cannot be
	binary   string
	failed   error
}

// Main runs a demo, and ends the program with code 1 if it fails. Everything that the demo has started is stopped at the end, also after
// Ctrl-C, which cancels the context.
func Main(run func(context.Context, *Demo) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctrllog.SetLogger(logr.Discard())
	if err := perform(ctx, run); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func perform(ctx context.Context, run func(context.Context, *Demo) error) error {
	dir, err := os.MkdirTemp("", "nrp-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &Demo{Screen: newScreen(os.Stdout), dir: dir}
	ctx, cancel := context.WithCancel(ctx)
	d.build(ctx)
	defer d.stop()
	defer cancel()
	return run(ctx, d)
}

// build builds the product while the control plane starts, and then, during the attacks, what the demo needs later: the kubelet and
// kubectl, if they have not been built yet.
func (d *Demo) build(ctx context.Context) {
	d.built = make(chan struct{})
	d.building.Go(func() {
		d.binary, d.failed = binaries.Product(ctx, d.Screen, binaries.Plain())
		close(d.built)
		for _, program := range []binaries.Program{binaries.Kubelet(), binaries.Kubectl()} {
			_, _ = binaries.Path(ctx, d.Screen, program) // who needs it builds it again, and fails
		}
	})
}

// stop stops everything, in reverse order.
func (d *Demo) stop() {
	for _, k := range d.Kubelets {
		k.Stop()
	}
	if d.Product != nil {
		_ = d.Product.Stop()
	}
	if d.Suite != nil {
		d.Suite.Stop()
	}
	d.building.Wait() // go build must not outlive us
}

// StartCluster starts a control plane.
func (d *Demo) StartCluster(ctx context.Context, server controlplane.APIServerOptions) error {
	d.Screen.Title("Starting etcd and kube-apiserver, with the Node authorizer and the NodeRestriction plugin")
	var err error
	d.Suite, err = suite.Start(ctx, suite.Options{Dir: d.dir, Log: d.Screen, APIServer: server, WithoutKubectl: true})
	return err
}

// Register registers [Node] with the credential of its kubelet, before that kubelet runs.
func (d *Demo) Register(ctx context.Context) error {
	config, err := d.ControlPlane.Kubelet(Node)
	if err != nil {
		return err
	}
	kubelet, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: Node, Labels: map[string]string{
		corev1.LabelHostname: Node, corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH, "example.com/rack": "r1",
	}}}
	if _, err := kubelet.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return err
	}
	d.Screen.Line("node %s is registered, with the credential of its kubelet", Node)
	return nil
}

// AddKubelet starts a kubelet and waits until its node is Ready.
func (d *Demo) AddKubelet(ctx context.Context, o kubelet.Options) (*kubelet.Kubelet, error) {
	k, err := d.StartKubelet(ctx, o)
	if err != nil {
		return nil, err
	}
	d.Kubelets = append(d.Kubelets, k)
	return k, d.awaitKubelet(ctx, k, time.Time{})
}

// RestartKubelets restarts all kubelets, and waits until they have reported.
func (d *Demo) RestartKubelets(ctx context.Context) error {
	restarted := time.Now()
	for _, k := range d.Kubelets {
		if err := k.Restart(); err != nil {
			return err
		}
	}
	for _, k := range d.Kubelets {
		if err := d.awaitKubelet(ctx, k, restarted); err != nil {
			return err
		}
	}
	return nil
}

func (d *Demo) awaitKubelet(ctx context.Context, k *kubelet.Kubelet, after time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := k.AwaitReady(ctx, d.Admin, after); err != nil {
		return err
	}
	d.Screen.Line("a real kubelet has registered node %s, and is Ready", k.Node)
	return nil
}

// Install installs the product, without a policy.
func (d *Demo) Install(ctx context.Context) error {
	if <-d.built; d.failed != nil {
		return d.failed
	}
	var err error
	d.Product, err = d.InstallWith(ctx, installer{d.Policies}, product.Options{Binary: d.binary})
	return err
}

// AwaitKubectl waits until kubectl is built. Before that, the path of Kubectl is empty.
func (d *Demo) AwaitKubectl(ctx context.Context) error {
	var err error
	d.Kubectl.Path, err = binaries.Path(ctx, d.Screen, binaries.Kubectl())
	return err
}

// Keep leaves everything running until the context ends, and prints how to connect, with KEEP=1 in the environment.
func (d *Demo) Keep(ctx context.Context) {
	if keep := os.Getenv("KEEP"); keep == "" || keep == "0" {
		return
	}
	d.Screen.Title("Left running until Ctrl-C")
	d.Screen.Line("administrator: export KUBECONFIG=%s", d.Kubectl.Kubeconfig)
	d.Screen.Line("the kubelet:   export KUBECONFIG=%s", d.Kubelets[0].Kubeconfig)
	d.Screen.Line("kubectl:       %s", d.Kubectl.Path)
	d.Screen.Line("records:       tail -f %s", d.Product.Records.Path())
	d.Screen.Line("audit log:     tail -f %s", d.ControlPlane.APIServer.AuditLog)
	d.Screen.Line("metrics:       curl %s", d.Product.MetricsURL)
	<-ctx.Done()
}
