// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package product runs NodeRestriction-plus as a process outside the cluster, wired to an API server as its chart says.
package product

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/metrics"
	"noderestriction.plus/e2e/process"
)

// startTimeout bounds the start of the product, and the time until an API server knows of a webhook.
const startTimeout = time.Minute

// Options say how to run the product.
type Options struct {
	Binary string
	Dir    string           // for its certificate, kubeconfig and log; made if it is missing
	Config *rest.Config     // its connection to the API server
	CA     *controlplane.CA // signs its serving certificate
	Args   []string         // further flags of serve
	Env    []string         // besides this process's own environment
	// SecureMetrics serves metrics as in a cluster, over TLS to those whom the API server lets read them.
	SecureMetrics bool
}

// Product is the product, running or stopped. Its ports stay the same when it is started again.
type Product struct {
	// Records are those of all runs.
	Records *Records
	// URL is where API servers find it, MetricsURL its metrics.
	URL, MetricsURL string

	options   Options
	ports     []int // webhook, metrics, health
	healthURL string
	process   *process.Process
}

// Start starts the product and waits until it is ready. The CRD of its policies must be there.
func Start(ctx context.Context, o Options) (*Product, error) {
	ports, err := process.FreePorts(3)
	if err != nil {
		return nil, err
	}
	p := &Product{options: o, ports: ports, Records: NewRecords(filepath.Join(o.Dir, "records.jsonl"))}
	p.URL = fmt.Sprintf("https://127.0.0.1:%d", ports[0])
	p.MetricsURL = fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[1])
	if o.SecureMetrics {
		p.MetricsURL = "https" + strings.TrimPrefix(p.MetricsURL, "http")
	}
	p.healthURL = fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[2])
	serving, err := o.CA.Server()
	if err != nil {
		return nil, err
	}
	if err := serving.Write(p.certDir()); err != nil {
		return nil, err
	}
	if err := controlplane.WriteKubeconfig(p.kubeconfig(), o.Config); err != nil {
		return nil, err
	}
	if err := p.Run(ctx, o.Args...); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Product) certDir() string    { return filepath.Join(p.options.Dir, "certs") }
func (p *Product) kubeconfig() string { return filepath.Join(p.options.Dir, "kubeconfig") }

// Run starts a stopped product again, with these further flags of serve, and waits until it is ready.
func (p *Product) Run(ctx context.Context, args ...string) error {
	return p.RunInto(ctx, p.Records.path, args...)
}

// RunInto is [Product.Run] with another file as standard output: its records are not among Records.
func (p *Product) RunInto(ctx context.Context, stdout string, args ...string) (err error) {
	p.process, err = process.Start(process.Spec{
		Name: "node-restriction-plus", Path: p.options.Binary, Dir: p.options.Dir,
		LogFile: filepath.Join(p.options.Dir, "node-restriction-plus.log"), StdoutFile: stdout, Env: p.options.Env,
		Args: append([]string{
			"serve",
			"--kubeconfig=" + p.kubeconfig(),
			"--bind-address=127.0.0.1",
			fmt.Sprintf("--port=%d", p.ports[0]),
			"--cert-dir=" + p.certDir(),
			fmt.Sprintf("--metrics-secure=%t", p.options.SecureMetrics),
			fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", p.ports[1]),
			fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", p.ports[2]),
			"--shutdown-delay=0s",
		}, args...),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := p.process.Await(ctx, p.Ready); err != nil {
		return errors.Join(err, p.process.Kill())
	}
	return nil
}

// Ready returns nil if the product says that it is ready.
func (p *Product) Ready(ctx context.Context) error {
	return process.CheckURL(ctx, p.healthURL)
}

// Binary is the path of the program.
func (p *Product) Binary() string { return p.options.Binary }

// Process is the current run.
func (p *Product) Process() *process.Process { return p.process }

// Stop ends the product gracefully. An error says that it did not end well.
func (p *Product) Stop() error { return p.process.Stop(time.Minute) }

// Metrics are the product's metrics, unless they are secure.
func (p *Product) Metrics(ctx context.Context) (metrics.Metrics, error) {
	return metrics.FromURL(ctx, p.MetricsURL)
}

// AwaitCalled waits until an API server calls the product. It asks by a dry run of a write that the product denies
// whatever the policies: by a kubelet whose name is empty. Each such denial leaves a record, of node "".
func (p *Product) AwaitCalled(ctx context.Context, server *controlplane.APIServer) error {
	// In this group it is a kubelet to us alone.
	config, err := server.User("system:node:", "system:masters")
	if err != nil {
		return err
	}
	nameless, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "probe"}}},
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return p.process.Await(ctx, func(ctx context.Context) error {
		_, err := nameless.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, pod,
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case apierrors.IsForbidden(err):
			return nil
		case err == nil:
			return errors.New("the API server does not call the webhook yet")
		}
		return err
	})
}
