// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

// PID is the API server's process ID.
func (s *APIServer) PID() int { return s.process.PID() }

// StorePID is the process ID of etcd.
func (c *ControlPlane) StorePID() int { return c.etcd.PID() }
