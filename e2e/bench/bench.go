// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/load"
	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/manifest"
)

// wiringTimeout bounds how long an API server takes to notice a configuration.
const wiringTimeout = time.Minute

// bench is everything that runs.
type bench struct {
	settings
	*suite.Suite
	product  *product.Product
	kubelets []*kubelet
	variants []*variant
	sequence atomic.Int64
	started  []*process.Process
	pprof    string // address of the product's profiles
	// plain is an API server without the plugin that calls webhooks, and plainKubelet writes to it. Only with -pairs.
	plain        *controlplane.APIServer
	plainKubelet *kubelet
	idle         map[string]float64 // resident memory of programs before the first write, in MiB
}

func newBench(ctx context.Context, s settings, dir string) (b *bench, err error) {
	b = &bench{settings: s, idle: map[string]float64{}}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	// The audit log of kubelets' writes would cost more than what is measured.
	server := controlplane.APIServerOptions{Args: []string{"--audit-log-path="}}
	if s.pairs > 0 {
		server.Env = uncollected()
	}
	b.Suite, err = suite.Start(ctx, suite.Options{Dir: dir, Log: os.Stderr, APIServer: server})
	if err != nil {
		return b, err
	}
	if err := b.populate(ctx); err != nil {
		return b, err
	}
	if err := b.startVariants(ctx); err != nil || s.pairs == 0 {
		return b, err
	}
	return b, b.startPlain(ctx, server)
}

// stop stops everything.
func (b *bench) stop() {
	for _, p := range b.started {
		_ = p.Kill()
	}
	if b.product != nil {
		_ = b.product.Stop()
	}
	if b.Suite != nil {
		b.Suite.Stop()
	}
}

// populate creates the Nodes, and a pod on each Node that writes.
func (b *bench) populate(ctx context.Context) error {
	fmt.Fprintf(os.Stderr, "creating %d Nodes\n", b.nodes)
	most := b.most()
	for i := range most {
		name := fmt.Sprintf("bench-%d", i)
		if _, err := b.Admin.CoreV1().Nodes().Create(ctx, load.Node(name), metav1.CreateOptions{}); err != nil {
			return err
		}
		pod := load.Pod(name)
		status := pod.Status
		pod, err := b.Admin.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		pod.Status = status
		if _, err := b.Admin.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
			return err
		}
		user, err := b.ControlPlane.Kubelet(name)
		if err != nil {
			return err
		}
		client, err := rest.HTTPClientFor(user)
		if err != nil {
			return err
		}
		b.kubelets = append(b.kubelets, &kubelet{node: name, host: user.Host, http: client})
	}
	var next atomic.Int64
	next.Store(int64(most))
	var group sync.WaitGroup
	errs := make(chan error, 16)
	for range cap(errs) {
		group.Go(func() {
			for i := next.Add(1); i <= int64(b.nodes); i = next.Add(1) {
				node := &corev1.Node{ObjectMeta: load.Node(fmt.Sprintf("other-%d", i)).ObjectMeta}
				if _, err := b.Admin.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

// startVariants starts the programs of all variants. No API server calls them yet.
func (b *bench) startVariants(ctx context.Context) error {
	b.variants = []*variant{
		{name: "none", about: "no webhook, no policy"},
		{name: "VAP", about: "ValidatingAdmissionPolicy, 6 CEL validations", manifests: []byte(admissionPolicy), denies: true},
	}
	ca := base64.StdEncoding.EncodeToString(b.ControlPlane.CA.PEM())
	for _, kind := range []struct{ name, about string }{
		{noop, "Go webhook that reads the body and echoes the UID"},
		{typed, "controller-runtime, both objects decoded into types"},
	} {
		v, err := b.startServed(ctx, kind.name, kind.about, ca)
		if err != nil {
			return err
		}
		b.variants = append(b.variants, v)
	}
	if b.chosen(&variant{name: gatekeeper}) {
		v, err := b.startGatekeeper(ctx, ca)
		if err != nil {
			return err
		}
		b.variants = append(b.variants, v)
	}
	if err := b.startProduct(ctx); err != nil {
		return err
	}
	b.variants = append(b.variants,
		&variant{
			name: evaluated, about: "this product, strict.yaml with all conditions allowed, every write evaluated",
			manifests: callForEverything(b.product.URL, ca),
			process:   b.product.Process(), url: b.product.URL + "/admit", calls: productCalls(b.product), denies: true,
		})
	helm, err := binaries.Helm(ctx, os.Stderr)
	if err != nil {
		return err
	}
	wired, err := b.product.Render(ctx, helm)
	if err != nil {
		return err
	}
	b.variants = append(b.variants, &variant{
		name: "wired", about: "this product as its chart registers it", manifests: wired,
		process: b.product.Process(), calls: productCalls(b.product), denies: true, skips: true,
	})
	followed, err := b.followed(ctx, helm)
	if err != nil {
		return err
	}
	b.variants = append(b.variants, &variant{
		name: "followed", about: "the same with webhook.followPolicies and strict.yaml, which denies", manifests: followed,
		process: b.product.Process(), calls: productCalls(b.product), denies: true, skips: true,
	})
	for _, v := range b.variants {
		if v.process == nil {
			continue
		}
		if b.idle[v.name], err = load.ResidentMiB(v.process.PID()); err != nil {
			return err
		}
	}
	return nil
}

// startServed starts a webhook for comparison.
func (b *bench) startServed(ctx context.Context, kind, about, ca string) (*variant, error) {
	ports, err := process.FreePorts(1)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	serving, err := b.ControlPlane.CA.Server()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(b.Dir, kind)
	if err := serving.Write(home); err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	p, err := process.Start(process.Spec{
		Name: kind, Path: self, Args: []string{"-serve", kind, address, home}, LogFile: filepath.Join(home, "log"),
	})
	if err != nil {
		return nil, err
	}
	b.started = append(b.started, p)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: b.ControlPlane.CA.Pool(),
	}}}
	v := &variant{
		name: kind, about: about, manifests: callForEverything("https://"+address, ca), process: p,
		url:   "https://" + address + "/admit",
		calls: servedCalls(client, "https://"+address), denies: kind == typed,
	}
	ctx, cancel := context.WithTimeout(ctx, wiringTimeout)
	defer cancel()
	return v, p.Await(ctx, func(ctx context.Context) error {
		_, err := v.calls(ctx)
		return err
	})
}

func (b *bench) startProduct(ctx context.Context) error {
	binary, err := binaries.Product(ctx, os.Stderr, binaries.Released())
	if err != nil {
		return err
	}
	ports, err := process.FreePorts(1)
	if err != nil {
		return err
	}
	b.pprof = fmt.Sprintf("127.0.0.1:%d", ports[0])
	b.product, err = b.StartProduct(ctx, product.Options{Binary: binary, Args: []string{"--pprof-bind-address=" + b.pprof}})
	if err != nil {
		return err
	}
	strict, err := strictPolicy()
	if err != nil {
		return err
	}
	data, err := json.Marshal(strict)
	if err != nil {
		return err
	}
	if err := b.Kubectl.Apply(ctx, data); err != nil {
		return err
	}
	return product.AwaitReady(ctx, b.Policies, "strict")
}

// strictPolicy returns strict.yaml, with the conditions of a problem detector that has the kubelet's credential.
func strictPolicy() (*v1alpha1.NodeRestrictionPolicy, error) {
	strict, err := project.ReadFile("config", "policies", "strict.yaml")
	if err != nil {
		return nil, err
	}
	policies, err := manifest.Policies(strict)
	if err != nil {
		return nil, err
	}
	policies[0].Spec.Nodes.Conditions.Allowed = []v1alpha1.Pattern{"*"}
	return policies[0], nil
}

// wire makes the API server use a variant, and no other one, and waits until it does.
func (b *bench) wire(ctx context.Context, v *variant) error {
	for _, all := range [][]string{
		{"validatingwebhookconfiguration", wholeConfiguration, "node-restriction-plus"},
		{"validatingadmissionpolicybinding", wholeConfiguration},
		{"validatingadmissionpolicy", wholeConfiguration},
	} {
		args := append([]string{"delete", "--ignore-not-found", "--wait=true"}, all...)
		if _, err := b.Kubectl.Run(ctx, nil, args...); err != nil {
			return err
		}
	}
	if v.manifests != nil {
		if err := b.Kubectl.Apply(ctx, v.manifests); err != nil {
			return err
		}
	}
	return suite.Await(ctx, wiringTimeout, func() error {
		wired, err := b.isWired(ctx, v)
		if err == nil && !wired {
			err = fmt.Errorf("variant %s is not in effect", v.name)
		}
		return err
	})
}

// isWired reports, by a dry run of a forbidden write, whether the variant alone is called and denies it.
func (b *bench) isWired(ctx context.Context, v *variant) (bool, error) {
	before, err := b.called(ctx)
	if err != nil {
		return false, err
	}
	status, body, err := b.kubelets[0].write(ctx, denied(), 0, "?dryRun=All")
	if err != nil {
		return false, err
	}
	if status != http.StatusOK && status != http.StatusForbidden {
		return false, fmt.Errorf("variant %s: %d %s", v.name, status, body)
	}
	after, err := b.called(ctx)
	if err != nil {
		return false, err
	}
	for _, other := range b.variants {
		if other.process == nil {
			continue
		}
		mine := v.process == other.process
		if called := after[other.process] > before[other.process]; called != mine {
			return false, nil
		}
	}
	return v.denies == (status == http.StatusForbidden), nil
}

// called returns how often each program was called.
func (b *bench) called(ctx context.Context) (map[*process.Process]float64, error) {
	all := map[*process.Process]float64{}
	var errs []error
	for _, v := range b.variants {
		if v.process != nil {
			n, err := v.calls(ctx)
			all[v.process] = n
			errs = append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}

// goVersion returns the version of Go that everything was built with.
func goVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return "an unknown version of Go"
	}
	return string(out)
}
