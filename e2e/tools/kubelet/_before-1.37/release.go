// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	cadvisorv1 "github.com/google/cadvisor/info/v1"
	cadvisorv2 "github.com/google/cadvisor/info/v2"
	"go.opentelemetry.io/otel/trace/noop"
	internalapi "k8s.io/cri-api/pkg/apis"
	remote "k8s.io/cri-client/pkg"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
)

type (
	requestOptions = cadvisorv2.RequestOptions
	containerInfo  = cadvisorv2.ContainerInfo
	containerSpec  = cadvisorv2.ContainerSpec
	containerStats = cadvisorv2.ContainerStats
	memorySpec     = cadvisorv2.MemorySpec
	memoryStats    = cadvisorv1.MemoryStats
	fsInfo         = cadvisorv2.FsInfo
)

// memoryCapacity returns the memory of a machine.
func memoryCapacity(machine *cadvisortest.Fake) (uint64, error) {
	info, err := machine.MachineInfo()
	if err != nil {
		return 0, err
	}
	return info.MemoryCapacity, nil
}

// connect connects to the container runtime.
func connect(ctx context.Context, endpoint string) (internalapi.RuntimeService, error) {
	return remote.NewRemoteRuntimeService(ctx, endpoint, 15*time.Second, noop.NewTracerProvider(), false)
}

// newContainerManager returns a container manager that manages nothing.
func newContainerManager() cm.ContainerManager { return cm.NewStubContainerManager() }
