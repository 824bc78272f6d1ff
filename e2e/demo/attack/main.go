// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command stage shows the product at work: a real control plane, a real kubelet, and an attacker with the kubelet's
// credential, first without and then with the product. Everything runs on the loopback interface and is stopped at the
// end.
//
// With KEEP=1 in the environment it leaves everything running until Ctrl-C, and prints how to connect.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
)

const nodeName = "worker-1"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctrllog.SetLogger(logr.Discard())
	screen := newScreen(os.Stdout)
	if err := run(ctx, screen); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted")
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, screen *screen) error {
	dir, err := os.MkdirTemp("", "nrp-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	d := &demo{screen: screen, dir: dir}
	ctx, cancel := context.WithCancel(ctx)
	d.build(ctx)
	defer d.stop()
	defer cancel()
	screen.title("Starting etcd and kube-apiserver, with the Node authorizer and the NodeRestriction plugin")
	if err := d.startCluster(ctx); err != nil {
		return err
	}
	without, err := d.attack(ctx, "Without NodeRestriction-plus: the attacker holds the kubelet's credential")
	if err != nil {
		return err
	}
	if err := d.install(ctx); err != nil {
		return err
	}
	with, err := d.attack(ctx, "With NodeRestriction-plus: the same, once more")
	if err != nil {
		return err
	}
	if err := d.report(ctx, without, with); err != nil {
		return err
	}
	if os.Getenv("KEEP") != "" && os.Getenv("KEEP") != "0" {
		screen.title("Left running; Ctrl-C ends it")
		screen.line("administrator: export KUBECONFIG=%s", d.admin.Kubeconfig)
		screen.line("the kubelet:   export KUBECONFIG=%s", d.kubelet.Kubeconfig)
		screen.line("kubectl:       %s", d.admin.Path)
		screen.line("records:       tail -f %s", filepath.Join(dir, "product", "records.jsonl"))
		screen.line("metrics:       curl %s", d.product.MetricsURL)
		<-ctx.Done()
	}
	return nil
}

// demo is what is running.
type demo struct {
	screen *screen
	dir    string

	cluster *controlplane.ControlPlane
	kubelet *kubelet.Kubelet
	product *product.Product
	admin   kubectl.Kubectl

	built  chan struct{} // closed when the product is built, or cannot be
	binary string
	failed error
}

// build builds the product while the control plane starts.
func (d *demo) build(ctx context.Context) {
	d.built = make(chan struct{})
	go func() {
		defer close(d.built)
		d.binary, d.failed = binaries.Product(ctx, d.screen, binaries.Plain())
	}()
}

// stop ends everything that was started, the last first.
func (d *demo) stop() {
	if d.kubelet != nil {
		d.kubelet.Stop()
	}
	if d.product != nil {
		_ = d.product.Stop()
	}
	if d.cluster != nil {
		d.cluster.Stop()
	}
	<-d.built // go build must not outlive us
}

func (d *demo) startCluster(ctx context.Context) error {
	var err error
	d.cluster, err = controlplane.Start(ctx, controlplane.Options{Dir: d.dir, Log: d.screen})
	if err != nil {
		return err
	}
	config, err := d.cluster.Admin()
	if err != nil {
		return err
	}
	path, err := binaries.Path(ctx, d.screen, binaries.Kubectl())
	if err != nil {
		return err
	}
	d.admin = kubectl.Kubectl{Path: path, Kubeconfig: filepath.Join(d.dir, "admin.kubeconfig")}
	if err := controlplane.WriteKubeconfig(d.admin.Kubeconfig, config); err != nil {
		return err
	}
	credential, err := d.cluster.Kubelet(nodeName)
	if err != nil {
		return err
	}
	d.kubelet, err = kubelet.Start(ctx, kubelet.Options{
		Dir: filepath.Join(d.dir, "kubelet"), Node: nodeName, Config: credential,
		Labels: []string{"example.com/rack=r1"},
		Log:    d.screen,
	})
	if err != nil {
		return err
	}
	return d.awaitKubelet(ctx, time.Time{})
}

func (d *demo) awaitKubelet(ctx context.Context, after time.Time) error {
	client, err := d.client(d.cluster.Admin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.kubelet.AwaitReady(ctx, client, after); err != nil {
		return err
	}
	d.screen.line("a real kubelet has registered node %s, and is Ready", nodeName)
	return nil
}

// install installs the product and the policy, and has the kubelet start anew under its eyes.
func (d *demo) install(ctx context.Context) error {
	d.screen.title("Installing NodeRestriction-plus, and config/policies/recommended.yaml")
	if <-d.built; d.failed != nil {
		return d.failed
	}
	helm, err := binaries.Helm(ctx, d.screen)
	if err != nil {
		return err
	}
	config, err := d.cluster.Admin()
	if err != nil {
		return err
	}
	d.product, err = product.Install(ctx, product.Options{
		Binary: d.binary, Dir: filepath.Join(d.dir, "product"), Config: config, CA: d.cluster.CA,
	}, d.admin, helm, d.cluster.APIServer)
	if err != nil {
		return err
	}
	root, err := project.Root()
	if err != nil {
		return err
	}
	recommended := filepath.Join(root, "config", "policies", "recommended.yaml")
	out, err := d.admin.Run(ctx, nil, "apply", "--filename", recommended)
	if err != nil {
		return err
	}
	d.screen.line("kubectl apply -f config/policies/recommended.yaml: %s", firstLine(out))
	policies, err := product.Policies(config)
	if err != nil {
		return err
	}
	if err := product.AwaitReady(ctx, policies, "recommended"); err != nil {
		return err
	}
	restarted := time.Now()
	if err := d.kubelet.Restart(); err != nil {
		return err
	}
	return d.awaitKubelet(ctx, restarted)
}
