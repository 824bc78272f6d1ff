// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubeconfig returns how the commands that need a cluster reach its API server.
package kubeconfig

import (
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"noderestriction.plus/internal/program"
)

// Usage is the description of the flag that names a kubeconfig.
const Usage = "kubeconfig `file`; if empty, the service account of the pod"

// Load reads a kubeconfig or, if path is empty, the service account of the pod. It does not connect.
func Load(path string) (*rest.Config, error) {
	config, err := load(path)
	if err != nil {
		return nil, err
	}
	// The API server limits its clients itself. What this program writes is bounded by how often it writes.
	config.QPS = -1
	config.UserAgent = program.Name + "/" + program.Version()
	return config, nil
}

func load(path string) (*rest.Config, error) {
	if path == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", path)
}
