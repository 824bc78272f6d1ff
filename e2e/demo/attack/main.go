// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command attack shows the product at work: a real control plane, a real kubelet, and an attacker with the kubelet's credential, first
// without and then with the product. Everything runs on the loopback interface and is stopped at the end.
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
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
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
	with, err := d.attack(ctx, "With NodeRestriction-plus: the same attacks again")
	if err != nil {
		return err
	}
	if err := d.report(ctx, without, with); err != nil {
		return err
	}
	if os.Getenv("KEEP") != "" && os.Getenv("KEEP") != "0" {
		screen.title("Left running until Ctrl-C")
		screen.line("administrator: export KUBECONFIG=%s", d.Kubectl.Kubeconfig)
		screen.line("the kubelet:   export KUBECONFIG=%s", d.kubelet.Kubeconfig)
		screen.line("kubectl:       %s", d.Kubectl.Path)
		screen.line("records:       tail -f %s", filepath.Join(dir, "product", "records.jsonl"))
		screen.line("metrics:       curl %s", d.product.MetricsURL)
		<-ctx.Done()
	}
	return nil
}

// demo is everything that runs.
type demo struct {
	screen *screen
	dir    string

	*suite.Suite
	kubelet *kubelet.Kubelet
	product *product.Product

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

// stop stops everything, in reverse order.
func (d *demo) stop() {
	if d.kubelet != nil {
		d.kubelet.Stop()
	}
	if d.product != nil {
		_ = d.product.Stop()
	}
	if d.Suite != nil {
		d.Suite.Stop()
	}
	<-d.built // go build must not outlive us
}

func (d *demo) startCluster(ctx context.Context) error {
	var err error
	if d.Suite, err = suite.Start(ctx, suite.Options{Dir: d.dir, Log: d.screen}); err != nil {
		return err
	}
	d.kubelet, err = d.StartKubelet(ctx, kubelet.Options{Node: nodeName, Labels: []string{"example.com/rack=r1"}})
	if err != nil {
		return err
	}
	return d.awaitKubelet(ctx, time.Time{})
}

func (d *demo) awaitKubelet(ctx context.Context, after time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.kubelet.AwaitReady(ctx, d.Admin, after); err != nil {
		return err
	}
	d.screen.line("a real kubelet has registered node %s, and is Ready", nodeName)
	return nil
}

// install installs the product and the policy, and restarts the kubelet, which the webhook now evaluates.
func (d *demo) install(ctx context.Context) error {
	d.screen.title("Installing NodeRestriction-plus, and config/policies/recommended.yaml")
	if <-d.built; d.failed != nil {
		return d.failed
	}
	var err error
	if d.product, err = d.Install(ctx, product.Options{Binary: d.binary}); err != nil {
		return err
	}
	root, err := project.Root()
	if err != nil {
		return err
	}
	recommended := filepath.Join(root, "config", "policies", "recommended.yaml")
	out, err := d.Kubectl.Run(ctx, nil, "apply", "--filename", recommended)
	if err != nil {
		return err
	}
	d.screen.line("kubectl apply -f config/policies/recommended.yaml: %s", firstLine(out))
	if err := product.AwaitReady(ctx, d.Policies, "recommended"); err != nil {
		return err
	}
	restarted := time.Now()
	if err := d.kubelet.Restart(); err != nil {
		return err
	}
	return d.awaitKubelet(ctx, restarted)
}
