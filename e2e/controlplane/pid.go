// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

// PID returns the process ID of the API server.
func (s *APIServer) PID() int { return s.process.PID() }

// StorePID returns the process ID of etcd.
func (c *ControlPlane) StorePID() int { return c.etcd.PID() }
