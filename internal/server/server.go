// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package server is the listener in front of the admission handlers: HTTP/1.1 over TLS 1.3 with a certificate that is
// reloaded, client certificates that are pinned by name, bounds on everything that a client chooses, and a shutdown
// that loses no request.
//
// It is not controller-runtime's webhook server, because that server stops listening as soon as its context ends, cancels
// the requests in flight, and bounds neither the time of a request nor the memory of all requests.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

const (
	// bodyTimeout bounds the time to receive a body. An API server waits for a webhook for at most 30 s, and for 1 or 2 s as
	// configured by the chart, so a slower body is of no use.
	bodyTimeout = 5 * time.Second
	// writeTimeout is how long after a request's deadline its answer may still be written.
	writeTimeout = 5 * time.Second
	// answerTimeout bounds what is answered before a handler runs: the longest deadline plus writeTimeout.
	answerTimeout = 35 * time.Second

	// idleTimeout is longer than that of API servers, which close an idle connection after 90 s. The server must not be the
	// first to close it: a request that is in transit at that moment would fail, and it is not retried. This also applies to a
	// connection without any request: an API server opens one, sends its request over another that is free sooner, and keeps
	// the new one. There is no shorter timeout for the headers, because the wait for them begins with the connection. Clients
	// that send them slowly, or not at all, are the first to be evicted.
	idleTimeout = 5 * time.Minute

	maxHeaderBytes = 64 << 10
)

// Options says what a Server serves, and where.
type Options struct {
	// Address is the host and port to listen on. An empty host means all addresses, port 0 a free port.
	Address string
	// Certificates has the server's certificate.
	Certificates CertificateSource
	// ClientCA verifies client certificates. Nil: clients need none.
	ClientCA *ClientCA
	// Handler answers the requests.
	Handler http.Handler
	// Limits bound what clients can make the server hold.
	Limits Limits
	// ShutdownDelay is how long the server accepts requests after its readiness check has begun to fail, so that the endpoint
	// is removed meanwhile. While requests still arrive after that, it accepts them for longer, by up to twice this delay
	// and by up to 20 s.
	ShutdownDelay time.Duration
	// Log receives connection errors and panics. It must bound the rate and the size of lines: anyone who can connect causes
	// them.
	Log logr.Logger
	// Registerer receives the server's metrics.
	Registerer prometheus.Registerer
}

// Server is a listener with its certificates and its lifecycle.
type Server struct {
	options     Options
	http        *http.Server
	connections *connections
	listener    net.Listener
	handling    handling
	draining    atomic.Bool
	serving     atomic.Bool
}

// New prepares a server. It does not listen yet.
func New(options Options) (*Server, error) {
	if err := options.Limits.validate(); err != nil {
		return nil, err
	}
	s := &Server{options: options}
	metrics := newMetrics(options.Registerer, options.Certificates, options.ClientCA, &s.handling)
	s.connections = newConnections(options.Limits.MaxConnections, metrics)
	// Only HTTP/1.1: API servers use it to call a Service, and it has no streams that a client could hold open.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Handler: recovered(
			s.closing(metrics.timed(limited(options.Handler, options.Limits, metrics, &s.handling))), options.Log, metrics),
		Protocols:         &protocols,
		ReadHeaderTimeout: idleTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         s.connections.changed,
		ErrorLog:          connectionLog(options.Log, metrics),
	}
	return s, nil
}

// Listen binds the address, so that an address in use is detected before anything else is started. Clients that connect wait
// until Run.
func (s *Server) Listen(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.options.Address)
	if err != nil {
		return fmt.Errorf("listen for admission requests: %w", err)
	}
	s.listener = tls.NewListener(listener, s.tlsConfig())
	return nil
}

// Address is the address that the server listens on, with its actual port. It is nil before Listen.
func (s *Server) Address() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends and then drains: the readiness check fails immediately, requests are accepted for the
// shutdown delay and until none arrive, and Run returns when the last one has been answered. The error is nil after an
// orderly shutdown.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, failed := errgroup.WithContext(background)
	group.Go(func() error { return s.options.Certificates.Start(background) })
	if s.options.ClientCA != nil {
		group.Go(func() error { return s.options.ClientCA.Start(background) })
	}
	group.Go(func() error {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve admission requests: %w", err)
		}
		return nil
	})
	s.serving.Store(true)

	select {
	case <-ctx.Done():
		s.drain(failed)
	case <-failed.Done():
	}
	err := s.shutdown()
	stop()
	return errors.Join(err, group.Wait())
}

// Check is a readiness check: it fails before the server serves and while it drains.
func (s *Server) Check(*http.Request) error {
	if s.draining.Load() {
		return errors.New("shutting down")
	}
	if !s.serving.Load() {
		return errors.New("not serving yet")
	}
	return nil
}

func (s *Server) tlsConfig() *tls.Config {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: s.options.Certificates.GetCertificate,
		// A resumed session would outlive a change of the client CA.
		SessionTicketsDisabled: true,
	}
	if s.options.ClientCA != nil {
		s.options.ClientCA.apply(config)
	}
	return config
}
