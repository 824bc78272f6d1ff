// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"syscall"
)

// Stop kills the API server.
func (s *APIServer) Stop() { _ = s.process.Kill() }

// Run restarts a stopped API server at the same address and waits until it is ready.
func (s *APIServer) Run(ctx context.Context) (err error) {
	if s.process, err = s.process.Again(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return s.awaitReady(ctx)
}

// FreezeStore suspends etcd, which keeps its connections: its clients wait.
func (c *ControlPlane) FreezeStore() error { return c.etcd.Signal(syscall.SIGSTOP) }

// ThawStore resumes etcd.
func (c *ControlPlane) ThawStore() error { return c.etcd.Signal(syscall.SIGCONT) }

// Restart restarts everything that [ControlPlane.Stop] has stopped, with the stored data, and waits until the API servers are ready.
func (c *ControlPlane) Restart(ctx context.Context) (err error) {
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
