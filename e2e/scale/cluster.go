// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/load"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// writers is the number of concurrent writes. More would only wait in the API server.
const writers = 32

// cluster is everything that runs.
type cluster struct {
	settings
	*suite.Suite
	product *product.Product
	strict  *v1alpha1.NodeRestrictionPolicy
	args    []string // further flags of the product

	host string
	http *http.Client // of an administrator who impersonates each kubelet
}

func newCluster(ctx context.Context, s settings, dir string) (c *cluster, err error) {
	c = &cluster{settings: s}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	c.Suite, err = suite.Start(ctx, suite.Options{Dir: dir, Log: os.Stderr, APIServer: controlplane.APIServerOptions{
		Args: []string{"--audit-log-path="},
	}})
	if err != nil {
		return c, err
	}
	config, err := c.ControlPlane.Admin()
	if err != nil {
		return c, err
	}
	c.host = config.Host
	if c.http, err = rest.HTTPClientFor(config); err != nil {
		return c, err
	}
	return c, c.install(ctx)
}

// install installs the product as its chart registers it, and strict.yaml.
func (c *cluster) install(ctx context.Context) error {
	binary, err := binaries.Product(ctx, os.Stderr, binaries.Released())
	if err != nil {
		return err
	}
	options := product.Options{Binary: binary}
	helm, err := binaries.Helm(ctx, os.Stderr)
	if err != nil {
		return err
	}
	if c.follow {
		file := filepath.Join(c.Dir, "conditions.json")
		if err := product.WriteBaseConditions(ctx, helm, file); err != nil {
			return err
		}
		c.args = []string{"--base-conditions=" + file}
		options.Args = c.args
	}
	if c.product, err = c.Install(ctx, options); err != nil {
		return err
	}
	if c.follow {
		if err := c.product.Configure(ctx, c.Kubectl, helm, "webhook.followPolicies=true"); err != nil {
			return err
		}
	}
	policies, err := suite.ShippedPolicies("strict")
	if err != nil {
		return err
	}
	c.strict = policies[0]
	if err := product.Enforce(ctx, c.Policies, c.strict.DeepCopy()); err != nil || !c.follow {
		return err
	}
	return product.AwaitGated(ctx, c.Policies, c.strict.Name)
}

func (c *cluster) stop() {
	if c.product != nil {
		_ = c.product.Stop()
	}
	if c.Suite != nil {
		c.Suite.Stop()
	}
}

func nodeName(i int) string { return fmt.Sprintf("node-%05d", i) }

// request is a write of a kubelet.
type request struct {
	node         string
	method, path string
	mediaType    string
	body         []byte
}

// send sends a write as a kubelet. The write must succeed.
func (c *cluster) send(ctx context.Context, r request) error {
	q, err := http.NewRequestWithContext(ctx, r.method, c.host+r.path, bytes.NewReader(r.body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", r.mediaType)
	q.Header.Set("Impersonate-User", "system:node:"+r.node)
	q.Header.Set("Impersonate-Group", "system:nodes")
	response, err := c.http.Do(q)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s as %s: %d %s", r.method, r.path, r.node, response.StatusCode, body)
	}
	return err
}

// each calls a function for each number below n, with [writers] calls at a time, until one fails.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// meter is the usage and the number of calls so far.
type meter struct {
	at              time.Time
	server, webhook time.Duration
	resident        float64
	calls           float64
}

func (c *cluster) read(ctx context.Context) (m meter, err error) {
	m.at = time.Now()
	if m.server, err = load.CPUTime(c.ControlPlane.PID()); err != nil {
		return m, err
	}
	pid := c.product.Process().PID()
	if m.webhook, err = load.CPUTime(pid); err != nil {
		return m, err
	}
	if m.resident, err = load.ResidentMiB(pid); err != nil {
		return m, err
	}
	counted, err := c.product.Metrics(ctx)
	m.calls = counted.Sum("node_restriction_plus_evaluations_total")
	return m, err
}

// phase is the cost of a phase.
type phase struct {
	name          string
	writes        int
	took          time.Duration
	calls         float64
	server, ours  time.Duration
	before, after float64 // resident memory of the product, in MiB
}

// measure runs a phase and reads the meter before and after it.
func (c *cluster) measure(ctx context.Context, name string, run func() (writes int, err error)) (phase, error) {
	before, err := c.read(ctx)
	if err != nil {
		return phase{}, err
	}
	writes, err := run()
	if err != nil {
		return phase{}, err
	}
	after, err := c.read(ctx)
	return phase{
		name: name, writes: writes, took: after.at.Sub(before.at), calls: after.calls - before.calls,
		server: after.server - before.server, ours: after.webhook - before.webhook,
		before: before.resident, after: after.resident,
	}, err
}

// encode encodes an object as JSON, which cannot fail for the objects here.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func now() string { return metav1.Now().UTC().Format(time.RFC3339) }
