// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package server is the listener in front of the admission handlers: HTTP/1.1 over TLS 1.3 with a certificate that is
// reloaded, client certificates that are pinned by name, bounds on everything that a client decides, and a shutdown
// that loses no request.
//
// It is not controller-runtime's webhook server, because that one stops listening the moment it is told to stop,
// cancels the requests that it is working on, and bounds neither the time of a request nor the memory of all of them.
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
	// An API server waits for a webhook for 30 s at most and for 1 or 2 s as configured here. A body that takes longer
	// than bodyTimeout, or arrives after the request's deadline, is of no use to anybody.
	bodyTimeout = 5 * time.Second
	// writeTimeout is how long after a request's deadline its answer may still be on its way.
	writeTimeout = 5 * time.Second
	// answerTimeout is the same for what is answered before a handler runs: the longest deadline, and writeTimeout.
	answerTimeout = 35 * time.Second

	// API servers close an idle connection after 90 s. The server must not be the first to close it: the request that
	// is on its way at that moment would fail, and it is not sent again. That holds for a connection without a request so
	// far, too: an API server opens one, has its request carried by another that is free sooner, and keeps the new one.
	// There is no shorter time for the headers, since to wait for them begins with the connection. Whoever sends them
	// slowly, or none, is among the first to make room for others.
	idleTimeout = 5 * time.Minute

	maxHeaderBytes = 64 << 10
)

// Options say what a Server serves, and where.
type Options struct {
	// Address is the host and port to listen on. An empty host is all addresses, port 0 a free one.
	Address string
	// Certificates has the server's certificate.
	Certificates CertificateSource
	// ClientAuthority decides on client certificates. Nil: none is asked for.
	ClientAuthority *ClientAuthority
	// Handler answers the requests.
	Handler http.Handler
	// Limits bound what clients can make the server hold.
	Limits Limits
	// ShutdownDelay is how long the server goes on accepting requests after it was told to stop and its readiness
	// check has begun to fail, so that whoever routes requests has time to learn of it. If requests still arrive then,
	// it goes on for up to twice that time, and 20 s, longer.
	ShutdownDelay time.Duration
	// Log receives what went wrong with connections, at most a few lines a second.
	Log logr.Logger
	// Registerer receives the server's metrics.
	Registerer prometheus.Registerer
}

// Server is a listener with its certificates and its life cycle.
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
	metrics := newMetrics(options.Registerer, options.Certificates, options.ClientAuthority, &s.handling)
	s.connections = newConnections(options.Limits.MaxConnections, metrics)
	// Only HTTP/1.1: that is what API servers speak to a Service, and what cannot be made to hold streams.
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

// Listen binds the address, so that an address in use is known before anything else is started. Clients that connect
// wait until Run.
func (s *Server) Listen(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.options.Address)
	if err != nil {
		return fmt.Errorf("listen for admission requests: %w", err)
	}
	s.listener = tls.NewListener(listener, s.tlsConfig())
	return nil
}

// Address is what the server listens on, with the port that it got. It is nil before Listen.
func (s *Server) Address() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends and then drains: the readiness check fails at once, requests are accepted for the
// shutdown delay and until none arrive any more, and Run returns when the last of them was answered. The error is nil
// after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, failed := errgroup.WithContext(background)
	group.Go(func() error { return s.options.Certificates.Start(background) })
	if s.options.ClientAuthority != nil {
		group.Go(func() error { return s.options.ClientAuthority.Start(background) })
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

// Check is a readiness check: it fails before the server serves and from the moment that it was told to stop.
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
		// A resumed session would outlive a change of the client authority.
		SessionTicketsDisabled: true,
	}
	if s.options.ClientAuthority != nil {
		s.options.ClientAuthority.apply(config)
	}
	return config
}
