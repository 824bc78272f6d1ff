// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// reloadInterval is how often files are read again. Changes are usually noticed at once; this is for what file
// notification misses.
const reloadInterval = 2 * time.Second

// Certificates is the server's certificate and key, tls.crt and tls.key in one folder, as a Secret is mounted. A
// change of the files is picked up without a restart. While they do not fit together, as between the arrival of a key
// and of its certificate, or cannot be read, the last good pair stays in use.
type Certificates struct {
	certFile, keyFile string
	interval          time.Duration
	log               logr.Logger
	watcher           atomic.Pointer[certwatcher.CertWatcher]
	reloadErrors      atomic.Uint64
}

// NewCertificates reads the pair in the folder. It is an error if there is none or if key and certificate do not fit.
func NewCertificates(folder string, log logr.Logger) (*Certificates, error) {
	c := &Certificates{
		certFile: filepath.Join(folder, "tls.crt"),
		keyFile:  filepath.Join(folder, "tls.key"),
		interval: reloadInterval,
		log:      log,
	}
	watcher, err := certwatcher.New(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("serving certificate: %w", err)
	}
	c.watcher.Store(watcher)
	return c, nil
}

// GetCertificate returns the pair in use; it has the signature that [tls.Config] wants.
func (c *Certificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.watcher.Load().GetCertificate(hello)
}

// Start watches the files until ctx ends. It must be called once.
func (c *Certificates) Start(ctx context.Context) error {
	var watchers sync.WaitGroup
	defer watchers.Wait()
	watch := func() context.CancelFunc {
		ctx, stop := context.WithCancel(ctx)
		watchers.Go(func() { c.watch(ctx) })
		return stop
	}
	stop := watch()
	defer func() { stop() }()

	failure := errorState{log: c.log, what: "cannot reload the serving certificate, the last good one stays in use"}
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		fresh, err := c.reload()
		if err != nil {
			c.reloadErrors.Add(1)
		}
		failure.report(err)
		if fresh != nil {
			stop()
			c.watcher.Store(fresh)
			stop = watch()
		}
	}
}

// watch runs the current watcher. Without file notifications reload still picks up every change, only later.
func (c *Certificates) watch(ctx context.Context) {
	watcher := c.watcher.Load().WithWatchInterval(time.Minute)
	if err := watcher.Start(ctx); err != nil && ctx.Err() == nil {
		c.log.Error(err, "no notifications of changes of the serving certificate, it is only read at intervals")
	}
}

// reload lets the watcher read the files. It returns a new watcher if that is needed to serve what they hold: a
// certwatcher takes a certificate for unchanged whose leaf and key are, and so would go on serving an intermediate
// certificate that was replaced.
func (c *Certificates) reload() (*certwatcher.CertWatcher, error) {
	watcher := c.watcher.Load()
	if err := watcher.ReadCertificate(); err != nil {
		return nil, err
	}
	served, err := watcher.GetCertificate(nil)
	if err != nil {
		return nil, err
	}
	stored, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, err
	}
	if slices.EqualFunc(served.Certificate, stored.Certificate, bytes.Equal) {
		return nil, nil
	}
	return certwatcher.New(c.certFile, c.keyFile)
}

// Expiry is when the first certificate of the served chain expires.
func (c *Certificates) Expiry() time.Time {
	served, err := c.GetCertificate(nil)
	if err != nil {
		return time.Time{}
	}
	return ChainExpiry(served)
}

// Check is a readiness check: it fails if the certificate is not valid yet, or not for at least five minutes more.
func (c *Certificates) Check(*http.Request) error {
	served, err := c.GetCertificate(nil)
	if err != nil {
		return err
	}
	return CheckChain(served, time.Now())
}

// RenewalErrors is how often the files could not be read again.
func (c *Certificates) RenewalErrors() uint64 { return c.reloadErrors.Load() }
