// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster runs the chart for real: Helm installs it into a real control plane, whose controllers and scheduler make
// pods of its Deployment, and nodes of the rig run these pods' containers, with their own arguments, environment,
// volumes, probes and account, as processes of this machine.
//
// What differs from a cluster: a container sees this machine's file system, so that paths of its mounts are replaced in
// its arguments, and it is given a kubeconfig with the account's token, since the path where it would look for the
// token itself is absolute; and it has no network of its own, so that it is told to listen on loopback, while the API
// server finds it, by way of a proxy, at the address that its pod has. It needs no privilege.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/product"
)

const (
	// Namespace is where the chart is installed.
	Namespace = "node-restriction-plus"
	// Release is the name of the chart's release.
	Release = "nrp"
	// Name is the name of the chart's objects.
	Name = "node-restriction-plus"
	// poolLabel is on the nodes that may run the product. No kubelet can give it to its Node.
	poolLabel = "node-restriction.kubernetes.io/pool"
	poolValue = "trusted"
)

// Options say what to start.
type Options struct {
	Dir   string    // for all data and logs; must exist
	Log   io.Writer // progress, where a program has to be built
	Nodes int       // nodes that may run the product
	// Images are the programs of the product by the tags of their images.
	Images map[string]string
	// Controllers are further flags of the controllers.
	Controllers []string
	// APIServer says how the API server differs from that of every cluster.
	APIServer controlplane.APIServerOptions
}

// Cluster is a control plane with nodes that run the product.
type Cluster struct {
	ControlPlane *controlplane.ControlPlane
	Admin        kubernetes.Interface
	Policies     client.Client
	Kubectl      kubectl.Kubectl
	Nodes        []*Node

	options Options
	helm    string
	network *network
	addresses
	history
	scraper
}

// Start starts the control plane and the nodes, and waits until these are Ready. The chart is not installed yet.
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
	c.Kubectl = kubectl.Kubectl{Kubeconfig: filepath.Join(c.options.Dir, "admin.kubeconfig")}
	if c.Kubectl.Path, err = binaries.Path(ctx, c.options.Log, binaries.Kubectl()); err != nil {
		return err
	}
	if c.network, err = startNetwork(c.options.Dir); err != nil {
		return err
	}
	server, err := c.APIServerOptions()
	if err != nil {
		return err
	}
	c.ControlPlane, err = controlplane.Start(ctx, controlplane.Options{
		Dir: c.options.Dir, Log: c.options.Log, APIServer: server,
	})
	if err != nil {
		return err
	}
	config, err := c.ControlPlane.Admin()
	if err != nil {
		return err
	}
	if err := controlplane.WriteKubeconfig(c.Kubectl.Kubeconfig, config); err != nil {
		return err
	}
	if c.Admin, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if c.Policies, err = product.Policies(config); err != nil {
		return err
	}
	if err := c.ControlPlane.StartControllers(ctx, c.options.Log, c.options.Controllers...); err != nil {
		return err
	}
	return c.startNodes(ctx)
}

// APIServerOptions are those of an API server of this cluster: it reaches pods.
func (c *Cluster) APIServerOptions() (controlplane.APIServerOptions, error) {
	o := c.options.APIServer
	egress, err := c.network.writeEgress(c.options.Dir)
	o.WithServiceAccounts = true
	o.Args = append([]string{"--enable-aggregator-routing", "--egress-selector-config-file=" + egress}, o.Args...)
	return o, err
}

// Stop ends everything.
func (c *Cluster) Stop() {
	for _, n := range c.Nodes {
		n.PowerOff()
	}
	if c.ControlPlane != nil {
		c.ControlPlane.Stop()
	}
	if c.network != nil {
		c.network.stop()
	}
}

// startNodes starts the nodes and has them be of the pool.
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
	return await(ctx, time.Minute, func() error {
		var errs []error
		for _, n := range c.Nodes {
			_, err := c.Admin.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, label, metav1.PatchOptions{})
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// CutNetwork has nothing that API servers send to pods arrive, until it is called with false.
func (c *Cluster) CutNetwork(cut bool) { c.network.setCut(cut) }

// await polls until the condition holds; the error is the condition's last one.
func await(ctx context.Context, timeout time.Duration, condition func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
