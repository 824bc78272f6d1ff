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
)

// ClientAuthority decides which clients may connect: those with a certificate of its authorities and one of its
// names. The file with the authorities is read again when it changes; while it cannot be read or holds no
// certificate, the last good content stays in use.
//
// The names are not optional. Often the only authority whose certificates an API server has is the cluster's own, and
// that one has signed the certificate of every kubelet too.
type ClientAuthority struct {
	file         string
	names        []string
	interval     time.Duration
	log          logr.Logger
	content      []byte // what pool was made of; only touched by load
	pool         atomic.Pointer[x509.CertPool]
	reloadErrors atomic.Uint64
}

// NewClientAuthority reads a PEM file of authorities. Names are the common names of the clients that may connect, at
// least one.
func NewClientAuthority(file string, names []string, log logr.Logger) (*ClientAuthority, error) {
	if len(names) == 0 || slices.Contains(names, "") {
		return nil, errors.New("client authority: no names of clients are given, or an empty one")
	}
	a := &ClientAuthority{file: file, names: slices.Clone(names), interval: reloadInterval, log: log}
	if err := a.load(); err != nil {
		return nil, fmt.Errorf("client authority: %w", err)
	}
	return a, nil
}

// Start reads the file again at intervals until ctx ends. It must be called once.
func (a *ClientAuthority) Start(ctx context.Context) error {
	failure := errorState{log: a.log, what: "cannot reload the client authority, the last good one stays in use"}
	tick := time.NewTicker(a.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := a.load()
		if err != nil {
			a.reloadErrors.Add(1)
		}
		failure.report(err)
	}
}

func (a *ClientAuthority) load() error {
	content, err := os.ReadFile(a.file)
	if err != nil {
		return err
	}
	if bytes.Equal(content, a.content) {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return fmt.Errorf("%s holds no certificate", a.file)
	}
	a.content = content
	a.pool.Store(pool)
	return nil
}

// apply makes a server with this configuration ask for client certificates. Each connection is judged by the
// authorities of the moment in which it is opened.
func (a *ClientAuthority) apply(config *tls.Config) {
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.VerifyConnection = a.verifyName
	current := config.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := current.Clone()
		c.ClientCAs = a.pool.Load()
		return c, nil
	}
}

func (a *ClientAuthority) verifyName(state tls.ConnectionState) error {
	if len(state.VerifiedChains) == 0 {
		return errors.New("no verified client certificate")
	}
	name := state.VerifiedChains[0][0].Subject.CommonName
	if !slices.Contains(a.names, name) {
		return fmt.Errorf("client certificate of %.128q is not among the allowed names", name)
	}
	return nil
}
