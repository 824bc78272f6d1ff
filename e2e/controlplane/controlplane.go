// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controlplane runs a real Kubernetes control plane on the loopback interface: etcd, one or more API servers and, if wanted,
// the controllers and the scheduler.
package controlplane

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/process"
)

// startTimeout bounds the start of each program. An API server takes about five seconds on an idle machine.
const startTimeout = 2 * time.Minute

// Options configure a control plane.
type Options struct {
	Dir       string           // for data, certificates, kubeconfigs and logs; must exist
	Log       io.Writer        // progress, if a program has to be built
	APIServer APIServerOptions // of the first API server
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	*APIServer // the first one

	// CA signs the API servers' serving certificates and the client certificates that they accept.
	CA *CA

	dir, binary string
	etcd        *process.Process
	etcdURL     string
	servers     []*APIServer
	clients     []*process.Process
}

// Start starts etcd and an API server and waits until both are ready. If it fails, nothing is left running; the logs stay in the
// directory.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	etcd, err := binaries.Path(ctx, o.Log, binaries.Etcd())
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{dir: o.Dir}
	if c.binary, err = binaries.Path(ctx, o.Log, binaries.KubeAPIServer()); err != nil {
		return nil, err
	}
	if c.CA, err = NewCA("e2e"); err != nil {
		return nil, err
	}
	err = c.writeKeys()
	if err == nil {
		err = c.startEtcd(etcd)
	}
	if err == nil {
		c.APIServer, err = c.AddAPIServer(ctx, o.APIServer)
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// Stop kills everything. The logs stay in the directory.
func (c *ControlPlane) Stop() {
	for _, p := range c.clients {
		_ = p.Kill()
	}
	for _, s := range c.servers {
		_ = s.process.Kill()
	}
	if c.etcd != nil {
		_ = c.etcd.Kill()
	}
}

// path returns the path of a file in the control plane's directory.
func (c *ControlPlane) path(name string) string { return filepath.Join(c.dir, name) }

// writeKeys writes the files that all API servers share: the CA of clients and the key that signs service account tokens.
func (c *ControlPlane) writeKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(c.path("ca.crt"), c.CA.PEM(), 0o644),
		os.WriteFile(c.path("service-account.key"), keyPEM, 0o600),
	)
}

// startEtcd does not wait until etcd is ready, because the API server does.
func (c *ControlPlane) startEtcd(binary string) error {
	ports, err := process.FreePorts(2)
	if err != nil {
		return err
	}
	c.etcdURL = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	c.etcd, err = process.Start(process.Spec{
		Name: "etcd", Path: binary, Dir: c.dir, LogFile: c.path("etcd.log"),
		Args: []string{
			"--data-dir=" + c.path("etcd"),
			"--listen-client-urls=" + c.etcdURL,
			"--advertise-client-urls=" + c.etcdURL,
			"--listen-peer-urls=" + peerURL,
			"--unsafe-no-fsync",
			"--log-level=warn",
		},
	})
	return err
}
