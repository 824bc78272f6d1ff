// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"syscall"
)

// Stop ends an API server at once. Its address stays its own.
func (s *APIServer) Stop() { _ = s.process.Kill() }

// Run starts a stopped API server again, at the same address, and waits until it is ready.
func (s *APIServer) Run(ctx context.Context) (err error) {
	if s.process, err = s.process.Again(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return s.awaitReady(ctx)
}

// FreezeStore stops etcd, which keeps its connections: whoever asks it waits.
func (c *ControlPlane) FreezeStore() error { return c.etcd.Signal(syscall.SIGSTOP) }

// ThawStore lets a frozen etcd go on.
func (c *ControlPlane) ThawStore() error { return c.etcd.Signal(syscall.SIGCONT) }

// FreezeControllers stops the controllers and the scheduler, so that for a time nobody notices anything.
func (c *ControlPlane) FreezeControllers() error { return c.signalClients(syscall.SIGSTOP) }

// ThawControllers lets frozen controllers go on.
func (c *ControlPlane) ThawControllers() error { return c.signalClients(syscall.SIGCONT) }

func (c *ControlPlane) signalClients(s syscall.Signal) error {
	for _, p := range c.clients {
		if err := p.Signal(s); err != nil {
			return err
		}
	}
	return nil
}

// StartAgain starts everything that [ControlPlane.Stop] has ended, with the data that was stored, and waits until the API
// servers are ready.
func (c *ControlPlane) StartAgain(ctx context.Context) (err error) {
	if c.etcd, err = c.etcd.Again(); err != nil {
		return err
	}
	for _, s := range c.servers {
		if err := s.Run(ctx); err != nil {
			return err
		}
	}
	for i, p := range c.clients {
		if c.clients[i], err = p.Again(); err != nil {
			return err
		}
	}
	return nil
}
