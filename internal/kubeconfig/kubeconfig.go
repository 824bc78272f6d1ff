// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubeconfig loads the connection to the API server for commands that need one.
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
	// The API server limits its clients itself, and all writes of this program are bounded in rate.
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
