// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	internalapi "k8s.io/cri-api/pkg/apis"
	remote "k8s.io/cri-client/pkg"
	"k8s.io/kubernetes/pkg/kubelet/cm"
)

// This file has what differs between releases of Kubernetes. _before-1.37 and _before-1.36 have it for older ones.

// connect connects to the container runtime.
func connect(ctx context.Context, endpoint string) (internalapi.RuntimeService, error) {
	return remote.NewRemoteRuntimeServiceBuilder().WithEndpoint(endpoint).WithConnectionTimeout(15 * time.Second).Build(ctx)
}

// newContainerManager returns a container manager that manages nothing.
func newContainerManager() cm.ContainerManager { return cm.NewStubContainerManager() }
