// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster runs the chart in a real control plane without a container runtime. Helm installs the chart, the controllers and
// the scheduler create its pods, and the nodes of this package run the containers as processes of this machine, with their own
// arguments, environment, volumes, probes and service account.
//
// It differs from a real cluster in two ways. Containers see the file system of this machine: paths of mounts are replaced in their
// arguments, and a kubeconfig names the token, whose usual path is absolute. And containers have no network of their own: they
// listen on loopback, and API servers reach them at the addresses of their pods through a proxy. No privilege is needed.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

const (
	// Namespace is where the chart is installed.
	Namespace = product.Name
	// Release is the name of the chart's release.
	Release = "nrp"
	// Name is the name of the chart's objects.
	Name = product.Name
	// poolLabel is on the nodes that may run the product. No kubelet can give it to its Node.
	poolLabel = "node-restriction.kubernetes.io/pool"
	poolValue = "trusted"
)

// Options configure a cluster.
type Options struct {
	suite.Options
	Nodes int // nodes that may run the product
	// Images are the programs of the product by the tags of their images.
	Images map[string]string
	// Controllers are further flags of the controllers.
	Controllers []string
	// OwnControllers has the controllers and the scheduler be the users that kubeadm makes them, not administrators.
	OwnControllers bool
}

// Cluster is a control plane with nodes that run the product.
type Cluster struct {
	*suite.Suite
	Nodes []*Node

	options Options
	helm    string
	network *network
	addresses
	history
	scraper
}

// Start starts the control plane and the nodes, and waits until the nodes have registered. The chart is not installed yet.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{options: o}
	err := c.start(ctx)
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) (err error) {
	if c.helm, err = binaries.Helm(ctx, c.options.Log); err != nil {
		return err
	}
	if c.network, err = startNetwork(c.options.Dir); err != nil {
		return err
	}
	o := c.options.Options
	if o.APIServer, err = c.APIServerOptions(); err != nil {
		return err
	}
	if c.Suite, err = suite.Start(ctx, o); err != nil {
		return err
	}
	start := c.ControlPlane.StartControllers
	if c.options.OwnControllers {
		start = c.ControlPlane.StartOwnControllers
	}
	if err := start(ctx, c.options.Log, c.options.Controllers...); err != nil {
		return err
	}
	return c.startNodes(ctx)
}

// APIServerOptions returns the options of an API server that reaches the pods of this cluster.
func (c *Cluster) APIServerOptions() (controlplane.APIServerOptions, error) {
	o := c.options.APIServer
	egress, err := c.network.writeEgress(c.options.Dir)
	o.WithServiceAccounts = true
	o.Args = append([]string{"--enable-aggregator-routing", "--egress-selector-config-file=" + egress}, o.Args...)
	return o, err
}

// Stop stops everything.
func (c *Cluster) Stop() {
	for _, n := range c.Nodes {
		n.PowerOff()
	}
	if c.Suite != nil {
		c.Suite.Stop()
	}
	if c.network != nil {
		c.network.stop()
	}
}

// startNodes starts the nodes and labels them as members of the pool.
func (c *Cluster) startNodes(ctx context.Context) error {
	for i := range c.options.Nodes {
		n, err := newNode(c, fmt.Sprintf("trusted-%d", i+1))
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, n)
		n.PowerOn()
	}
	label := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, poolLabel, poolValue)
	return suite.Await(ctx, time.Minute, func() error {
		var errs []error
		for _, n := range c.Nodes {
			_, err := c.Admin.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, label, metav1.PatchOptions{})
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// CutNetwork drops everything that API servers send to pods, until it is called with false.
func (c *Cluster) CutNetwork(cut bool) { c.network.setCut(cut) }

// New starts a cluster for the duration of the test, in a directory as of [suite.TempDir].
func New(t testing.TB, name string, o Options) *Cluster {
	t.Helper()
	o.Dir, o.Log = suite.TempDir(t, name), t.Output()
	c, err := Start(t.Context(), o)
	suite.Check(t, err)
	t.Cleanup(c.Stop)
	return c
}
