// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"noderestriction.plus/internal/faultlog"
)

// ClientCA decides which clients may connect: those with a certificate from its CAs and one of its names. The file with the
// CAs is reread when it changes; while it cannot be read or has no certificate, the last good content stays in use.
//
// The names are not optional. Often the only CA whose certificates an API server has is the cluster CA, and that has signed
// the certificate of every kubelet too.
type ClientCA struct {
	file         string
	names        []string
	interval     time.Duration
	log          logr.Logger
	content      []byte // of the file; only used by load
	pool         atomic.Pointer[x509.CertPool]
	reloadErrors atomic.Uint64
}

// NewClientCA reads a PEM file of CAs. Names are the common names of the clients that may connect, at least one.
func NewClientCA(file string, names []string, log logr.Logger) (*ClientCA, error) {
	if len(names) == 0 || slices.Contains(names, "") {
		return nil, errors.New("client CA: a name of a client is missing or empty")
	}
	c := &ClientCA{file: file, names: slices.Clone(names), interval: reloadInterval, log: log}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("client CA: %w", err)
	}
	return c, nil
}

// Start rereads the file at intervals until ctx ends. It must be called once. It returns nil.
func (c *ClientCA) Start(ctx context.Context) error {
	faults := faultlog.New(c.log)
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := c.load()
		if err != nil {
			c.reloadErrors.Add(1)
		}
		faults.Report("Cannot reload the client CA, the last good one stays in use", err)
	}
}

func (c *ClientCA) load() error {
	content, err := os.ReadFile(c.file)
	if err != nil {
		return err
	}
	if bytes.Equal(content, c.content) {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return fmt.Errorf("%s has no certificate", c.file)
	}
	c.content = content
	c.pool.Store(pool)
	return nil
}

// apply makes a server with this configuration require client certificates. Each connection is verified with the CAs that are
// current when it is opened.
func (c *ClientCA) apply(config *tls.Config) {
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.VerifyConnection = c.verifyName
	current := config.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		config := current.Clone()
		config.ClientCAs = c.pool.Load()
		return config, nil
	}
}

func (c *ClientCA) verifyName(state tls.ConnectionState) error {
	if len(state.VerifiedChains) == 0 {
		return errors.New("no verified client certificate")
	}
	name := state.VerifiedChains[0][0].Subject.CommonName
	if !slices.Contains(c.names, name) {
		return fmt.Errorf("client certificate of %.128q is not among the allowed names", name)
	}
	return nil
}
