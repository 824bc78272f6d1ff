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

	"noderestriction.plus/internal/faultlog"
)

// reloadInterval is how often files are reread. Changes are usually noticed immediately; this is for what file
// notification misses.
const reloadInterval = 2 * time.Second

// Certificates is the server's certificate and key, tls.crt and tls.key in one directory, as a Secret is mounted. Changes
// of the files take effect without a restart. While the files cannot be read or do not match, such as when only the key
// has arrived yet, the last good pair stays in use.
type Certificates struct {
	certFile, keyFile string
	interval          time.Duration
	log               logr.Logger
	watcher           atomic.Pointer[certwatcher.CertWatcher]
	reloadErrors      atomic.Uint64
}

// NewCertificates reads the pair in a directory. It is an error if a file is missing or if key and certificate do not match.
func NewCertificates(dir string, log logr.Logger) (*Certificates, error) {
	c := &Certificates{
		certFile: filepath.Join(dir, "tls.crt"),
		keyFile:  filepath.Join(dir, "tls.key"),
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

// GetCertificate implements [CertificateSource]. It returns the pair in use.
func (c *Certificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.watcher.Load().GetCertificate(hello)
}

// Start implements [CertificateSource]. It watches the files until ctx ends, and returns nil.
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

	faults := faultlog.New(c.log)
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
		faults.Report("Cannot reload the serving certificate, the last good one stays in use", err)
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
		c.log.Error(err, "No notifications about the files of the serving certificate, they are only reread at intervals")
	}
}

// reload has the watcher reread the files. It returns a new watcher if one is needed to serve their content: a certwatcher
// compares only leaf and key, so it would keep serving an intermediate certificate that was replaced.
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

// Expiry implements [CertificateSource].
func (c *Certificates) Expiry() time.Time {
	served, err := c.GetCertificate(nil)
	if err != nil {
		return time.Time{}
	}
	return ChainExpiry(served)
}

// Check implements [CertificateSource].
func (c *Certificates) Check(*http.Request) error {
	served, err := c.GetCertificate(nil)
	if err != nil {
		return err
	}
	return CheckChain(served, time.Now())
}

// RenewalErrors implements [CertificateSource]. It counts failures to reread the files.
func (c *Certificates) RenewalErrors() uint64 { return c.reloadErrors.Load() }
