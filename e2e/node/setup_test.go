// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/node"
	"noderestriction.plus/e2e/sandbox"
	"noderestriction.plus/e2e/suite"
)

const (
	// patience bounds each wait, on a busy machine.
	patience = 3 * time.Minute
	// pool is the label of the nodes that may run the product. No kubelet can give it to its Node.
	poolLabel = "node-restriction.kubernetes.io/pool"
	// containerImage is the image of the containers of tests.
	containerImage = "registry.example.com/container:e2e"
	// logSize is the size at which the kubelet rotates the log of a container: small enough for a test, large enough for a node's files to
	// have each record that the tests cause.
	logSize = "256Ki"
)

// setup is a control plane with real nodes.
type setup struct {
	*suite.Suite
	nodes    []*node.Node
	helmPath string
}

// newSetup starts a control plane and nodes, and waits until the nodes are Ready.
func newSetup(t *testing.T, names ...string) *setup {
	t.Helper()
	dir := filepath.Join("/var/lib", t.Name())
	suite.Check(t, os.MkdirAll(dir, 0o755))
	s := &setup{}
	var err error
	s.helmPath, err = binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	s.Suite, err = suite.Start(t.Context(), suite.Options{Dir: dir, Log: t.Output(), APIServer: controlplane.APIServerOptions{
		WithServiceAccounts: true, WithKubeletClient: true,
		Args: []string{"--enable-aggregator-routing", "--advertise-address=" + sandbox.Gateway},
	}})
	suite.Check(t, err)
	t.Cleanup(s.Stop)
	suite.Check(t, serveAPI(t, s.ControlPlane.APIServer))
	// A lease is renewed every 10 s, as of a stock kubelet.
	suite.Check(t, s.ControlPlane.StartOwnControllers(t.Context(), t.Output(), "--node-monitor-grace-period=50s"))
	if len(names) > 0 {
		s.startNodes(t, names)
	}
	return s
}

// serveAPI serves the API server at the address of the Service kubernetes, as kube-proxy does.
func serveAPI(t *testing.T, server *controlplane.APIServer) error {
	t.Helper()
	u, err := url.Parse(server.Host)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(sandbox.ServiceIP, "443"))
	if err != nil {
		return err
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // it is closed
			}
			go forward(client, u.Host)
		}
	}()
	return nil
}

// forward copies between a connection and a server until one of them closes it.
func forward(client net.Conn, address string) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done
}

// startNodes starts the nodes and waits until they are Ready and in the pool of trusted nodes.
func (s *setup) startNodes(t *testing.T, names []string) {
	t.Helper()
	programs, err := node.Programs(t.Context(), t.Output())
	suite.Check(t, err)
	images := writeImages(t)
	began := time.Now()
	for i, name := range names {
		config, err := s.ControlPlane.Kubelet(name)
		suite.Check(t, err)
		n, err := node.Start(t.Context(), programs, node.Options{
			Name: name, Address: fmt.Sprintf("10.244.0.%d", 10+i), Config: config, CA: s.ControlPlane.CA.PEM(), Images: images,
			Kubelet: map[string]any{
				"containerLogMaxSize": logSize, "containerLogMonitorInterval": "3s",
				"syncFrequency": "10s", // a deleted mirror pod is created again that often
			},
		})
		suite.Check(t, err)
		t.Cleanup(n.Stop)
		s.nodes = append(s.nodes, n)
	}
	label := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"trusted"}}}`, poolLabel)
	for _, n := range s.nodes {
		suite.Check(t, n.AwaitReady(suite.Within(t, patience), s.Admin, began))
		_, err := s.Admin.CoreV1().Nodes().Patch(t.Context(), n.Name, types.MergePatchType, label, metav1.PatchOptions{})
		suite.Check(t, err)
	}
	t.Logf("%d nodes are Ready after %s", len(s.nodes), time.Since(began).Round(100*time.Millisecond))
}

// writeImages writes the archives of all images.
func writeImages(t *testing.T) []string {
	t.Helper()
	programs := map[string]string{"container": os.Getenv(containerVariable)}
	dir := filepath.Join(sandbox.Dir(), "images")
	var archives []string
	for _, reference := range []string{node.PauseImage, containerImage} {
		archive := filepath.Join(dir, fmt.Sprintf("%d.tar", len(archives)))
		suite.Check(t, node.WriteImage(archive, reference, programs, "/container"))
		archives = append(archives, archive)
	}
	return append(archives, os.Getenv(imageVariable))
}
