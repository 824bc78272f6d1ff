// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node runs real nodes: a kubelet as it is released, containerd, runc, and containers. Nodes run in a [sandbox], which is root's,
// on Linux.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/sandbox"
)

// PauseImage is the name of the image of each pod's sandbox. Its entrypoint waits for a signal.
const PauseImage = "registry.example.com/pause:e2e"

// runc is the name of the program that starts containers. It needs a C library to filter system calls, and is thus that of the machine.
const runc = "runc"

// Options configure a node.
type Options struct {
	Name    string       // no other node of this sandbox has or had it
	Address string       // of the node, in sandbox.Subnet and not among those of pods
	Config  *rest.Config // with the kubelet's credential
	CA      []byte       // PEM of the CA whose client certificates the kubelet accepts
	Images  []string     // archives to import, one with PauseImage among them
	Labels  []string     // to register with, each key=value
	// Kubelet has fields of its KubeletConfiguration in place of those of a stock node.
	Kubelet map[string]any
}

// Node is a node, running or stopped.
type Node struct {
	Name, Address string

	options          Options
	dir              string
	programs         map[string]string // paths by name
	runtime, kubelet *process.Process
}

// Programs finds or builds the programs of nodes, and returns their paths by name.
func Programs(ctx context.Context, log io.Writer) (map[string]string, error) {
	paths := map[string]string{}
	for _, p := range slices.Concat(binaries.Containerd(), binaries.NetworkPlugins(), []binaries.Program{
		binaries.StockKubelet(), binaries.KubeletPlugins(),
	}) {
		path, err := binaries.Path(ctx, log, p)
		if err != nil {
			return nil, err
		}
		paths[p.Name] = path
	}
	path := os.Getenv("NRP_RUNC")
	if path == "" {
		var err error
		if path, err = exec.LookPath(runc); err != nil {
			return nil, fmt.Errorf("a real node needs runc in PATH, or its path in NRP_RUNC: install your system's package runc: %w", err)
		}
	}
	paths[runc] = path
	return paths, nil
}

// Start starts a node with these programs. It does not wait until the Node is Ready; AwaitReady does.
func Start(ctx context.Context, programs map[string]string, o Options) (*Node, error) {
	n := &Node{
		Name: o.Name, Address: o.Address, options: o, programs: programs,
		// Its file system must be one on which overlays can be, which that of /run is not.
		dir: filepath.Join("/var/lib", o.Name),
	}
	if err := n.start(ctx); err != nil {
		n.Stop()
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	if err := os.Mkdir(n.dir, 0o755); err != nil {
		return err
	}
	err := errors.Join(
		n.writeRuntimeConfig(),
		n.writeKubeletFiles(n.options.CA),
		controlplane.WriteKubeconfig(n.Kubeconfig(), n.options.Config),
		sandbox.AddAddress(n.Address),
	)
	if err != nil {
		return err
	}
	if err := n.StartRuntime(ctx); err != nil {
		return err
	}
	for _, archive := range n.options.Images {
		if err := n.Import(ctx, archive); err != nil {
			return err
		}
	}
	return n.StartKubelet()
}

// Stop stops the kubelet, containerd and the containers.
func (n *Node) Stop() {
	n.StopKubelet()
	n.StopRuntime()
	_ = n.killContainers()
}

// Reboot loses the power of the node and starts it again, as another boot of the machine. It must be the only running node.
func (n *Node) Reboot(ctx context.Context) error {
	n.StopKubelet()
	n.StopRuntime()
	if err := n.killContainers(); err != nil {
		return err
	}
	if err := sandbox.Reboot(); err != nil {
		return err
	}
	if err := n.StartRuntime(ctx); err != nil {
		return err
	}
	return n.StartKubelet()
}

// Kubeconfig returns the path of the kubeconfig with the kubelet's credential.
func (n *Node) Kubeconfig() string { return n.path("kubeconfig") }

func (n *Node) path(name string) string    { return filepath.Join(n.dir, name) }
func (n *Node) logFile(name string) string { return filepath.Join("/var/log", n.Name, name+".log") }
func (n *Node) program(name string) string { return filepath.Join(n.path("bin"), name) }
func (n *Node) cgroup() string             { return sandbox.CgroupRoot() + "/" + n.Name }
